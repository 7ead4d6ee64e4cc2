"""The structure of a TIFF: its first directory, and the strips or tiles that this one points at.

No other directory is looked at, so that neither their number nor their order can do any harm.
"""

from collections.abc import Mapping

from actors.imaging.errors import ImageTooLarge, NotAnImage, UnsupportedFormat
from actors.imaging.exif import exif_kept, orientation
from actors.imaging.facts import MAX_PROFILE, Facts, Limits, Size
from actors.imaging.ifd import (
    HEADER_SIZE,
    byte_order,
    first_directory,
    numbers,
    write_directory,
    write_header,
)
from actors.imaging.sizes import check_size

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _MEANING = 0x0100, 0x0101, 0x0102, 0x0103, 0x0106
_STRIPS, _SAMPLES, _ROWS, _STRIP_SIZES, _PLANES = 0x0111, 0x0115, 0x0116, 0x0117, 0x011C
_PALETTE, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 0x0140, 0x0142, 0x0143, 0x0144, 0x0145
_FILL_ORDER, _PREDICTOR, _EXTRA, _NUMBER_FORMAT, _PROFILE = 0x010A, 0x013D, 0x0152, 0x0153, 0x8773

_SHORT_ONES = frozenset(
    {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _MEANING, _SAMPLES, _ROWS, _PLANES}
    | {_TILE_WIDTH, _TILE_HEIGHT, _FILL_ORDER, _PREDICTOR, _EXTRA, _NUMBER_FORMAT}
)

_RESOLUTION = frozenset({0x011A, 0x011B, 0x0128})
_PLACES = frozenset({_STRIPS, _STRIP_SIZES, _TILES, _TILE_SIZES})

# As they are, LZW, Deflate by its two numbers, and PackBits.
_COMPRESSIONS = frozenset({1, 5, 8, 32_946, 32_773})

# What the samples mean, how many there are to a pixel without extra ones, and their bits.
_GREY, _COLOURS, _INDEX, _INKS = 1, 2, 3, 5
_LAYOUTS: Mapping[int, tuple[int, frozenset[int]]] = {
    0: (1, frozenset({1, 2, 4, 8})),
    _GREY: (1, frozenset({1, 2, 4, 8, 16})),
    _COLOURS: (3, frozenset({8, 16})),
    _INDEX: (1, frozenset({1, 2, 4, 8})),
    _INKS: (4, frozenset({8, 16})),
}
_MOST_SAMPLES = 6
_WHOLE, _FRACTION, _APART = 1, 3, 2

# From 0 to 1, as programs for science and for films write them: meaning, samples, bits, kinds. Of
# colours, Pillow has no such numbers.
_GREY_FRACTIONS = _GREY, 1, 32, {_FRACTION}


def is_tiff(data: bytes) -> bool:
    """Tell whether `data` begins like a TIFF."""
    return byte_order(data) is not None


def read_tiff(data: bytes, limits: Limits) -> Facts:
    """Return the facts about the first page of a TIFF.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      UnsupportedFormat: if its pixels are coded in a way that only specialists use.
      ImageTooLarge: if it is too large, or in too many strips or tiles.
    """
    page = _Page(data)
    size = page.number(_WIDTH, 0), page.number(_HEIGHT, 0)
    check_size(size, limits)
    _check_places(page, size, len(data), limits)
    depth = _check_samples(page)
    return Facts("tiff", *size, orientation=orientation(data), depth=depth)


def tiff_without_metadata(data: bytes) -> bytes:
    """Return a TIFF that `read_tiff` has accepted, with nothing but the pixels of its first page.

    They stay where they are; a directory with nothing else in it is put behind them.
    """
    page = _Page(data)
    places = (_TILES, _TILE_SIZES) if _TILES in page.fields else (_STRIPS, _STRIP_SIZES)
    values = {
        tag: (field.kind, field.count, data[field.start : field.end])
        for tag, field in page.fields.items()
        if tag in {_PALETTE, *places} or (tag in _SHORT_ONES and field.count <= _MOST_SAMPLES)
    }
    start = len(data) + len(data) % 2
    return b"".join(
        (
            write_header(page.order, start),
            memoryview(data)[HEADER_SIZE:],
            b"\0" * (len(data) % 2),
            write_directory(page.order, values, start),
        )
    )


def tiff_exif(data: bytes) -> bytes:
    """Return a TIFF that `read_tiff` has accepted, which is EXIF; nothing if no EXIF is in it."""
    return data if exif_kept(data, "all") else b""


def tiff_profile(data: bytes) -> bytes | None:
    """Return the colour profile in a TIFF that `read_tiff` has accepted, if there is one."""
    field = _Page(data).fields.get(_PROFILE)
    if field is None or field.end - field.start > MAX_PROFILE:
        return None
    return data[field.start : field.end]


def tiff_has_metadata(data: bytes) -> bool:
    """Tell whether a TIFF that `read_tiff` has accepted says more than how it is to be shown."""
    shown = _SHORT_ONES | _PLACES | _RESOLUTION | {_PALETTE, _PROFILE}
    return not shown.issuperset(_Page(data).fields)


class _Page:
    """The first directory."""

    def __init__(self, data: bytes) -> None:
        self.order = byte_order(data) or "<"
        self.fields = first_directory(data, self.order)
        self._data = data

    def numbers(self, tag: int, most: int) -> tuple[int, ...]:
        field = self.fields.get(tag)
        if field is not None and field.count > most:
            raise NotAnImage("The TIFF is broken: a field of it is too long.")
        return numbers(self._data, self.order, field)

    def number(self, tag: int, default: int) -> int:
        return next(iter(self.numbers(tag, 1)), default)


def _check_samples(page: _Page) -> int:
    """Check that the samples are of a kind that is read here, and return their bits."""
    compression = page.number(_COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        raise UnsupportedFormat(f"TIFF compressed in the way {compression} is not supported.")
    meaning, samples = page.number(_MEANING, 0), page.number(_SAMPLES, 1)
    bits = page.numbers(_BITS, _MOST_SAMPLES) or (1,)
    kinds = set(page.numbers(_NUMBER_FORMAT, _MOST_SAMPLES))
    kind = meaning, samples, bits[0], kinds
    least, depths = _LAYOUTS.get(meaning, (1, frozenset()))
    if (
        not least <= samples <= _MOST_SAMPLES
        or len(set(bits)) != 1
        or (bits[0] not in depths if kinds <= {_WHOLE} else kind != _GREY_FRACTIONS)
    ):
        raise UnsupportedFormat("TIFF with pixels of this kind is not supported.")
    if len(bits) not in {1, samples}:
        raise NotAnImage("The TIFF is broken: its pixels have more samples, or fewer, than said.")
    if meaning == _INDEX and len(page.numbers(_PALETTE, 3 << bits[0])) != 3 << bits[0]:
        raise NotAnImage("The TIFF is broken: its palette is too short.")
    return bits[0]


def _check_places(page: _Page, size: Size, length: int, limits: Limits) -> None:
    """Check that each strip or tile is there, and that they are neither too many nor too large."""
    width, height = size
    if _TILES in page.fields:
        if _STRIPS in page.fields:
            raise NotAnImage("The TIFF is broken: it has both strips and tiles.")
        across, down = page.number(_TILE_WIDTH, 0), page.number(_TILE_HEIGHT, 0)
        check_size((across, down), limits)
        places, sizes = _TILES, _TILE_SIZES
    else:
        across, down = width, min(height, page.number(_ROWS, height))
        places, sizes = _STRIPS, _STRIP_SIZES
    pieces = -(-width // across) * -(-height // down) if down else 0
    if pieces * across * down > limits.max_total_pixels:
        raise ImageTooLarge(
            f"The tiles of the TIFF have more than {limits.max_total_pixels:,} pixels."
        )
    if page.number(_PLANES, 1) == _APART:
        pieces *= page.number(_SAMPLES, 1)
    if pieces > limits.max_data_chunks:
        raise ImageTooLarge(f"The TIFF is in more than {limits.max_data_chunks:,} strips or tiles.")
    starts, lengths = page.numbers(places, pieces), page.numbers(sizes, pieces)
    if not pieces or len(starts) != pieces or len(lengths) != pieces:
        raise NotAnImage("The TIFF is broken: it does not say where its pixels are.")
    if any(start + number > length for start, number in zip(starts, lengths, strict=True)):
        raise NotAnImage("The TIFF is truncated.")
    if sum(lengths) > length:
        raise NotAnImage("The TIFF is broken: its parts lie upon each other.")
