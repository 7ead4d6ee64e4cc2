"""The pictures in a HEIC: coded ones, and how they make up the one that is seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from actors.imaging.errors import NotAnImage, UnsupportedFormat
from actors.imaging.facts import Size
from actors.imaging.heif_items import Item, Meta, content, extent, grid, read_meta
from actors.imaging.hevc import Coded, check_stream, read_configuration
from actors.imaging.isobmff import Box, Fields, Parts, boxes

PIXELS, GRID = b"hvc1", b"grid"
CROP, TURN, MIRROR = b"clap", b"irot", b"imir"

_CHANGES = frozenset({CROP, TURN, MIRROR})
_ALPHA = frozenset({b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"})
_DISAGREE = "The HEIC is broken: its parts disagree about its size."
_NO_PICTURE = "The HEIC has no picture in it."
_TWICE = "The HEIC is broken: it says the same thing twice."

# Equal tiles may share their bytes.
_SHARED = 2

Window = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Layer:
    """A picture: the item, the tiles that it is made of, or itself, and the part that is seen."""

    number: int
    size: Size
    tiles: tuple[int, ...]
    window: Window


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is decoded. `alphas` are the pictures that say how clear others are, by these."""

    meta: Meta
    seen: Layer
    alphas: Mapping[int, Layer]
    coded: Mapping[int, Coded]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All pictures, that which is seen before the others."""
        return self.seen, *self.alphas.values()


def read_items(data: bytes, parts: Parts) -> Meta:
    """Return the items of a HEIC.

    Raises:
      NotAnImage: if there are none, or they are broken.
      ImageTooLarge: if they have too many parts.
    """
    for box in boxes(data, Box(b"", 0, len(data)), parts):
        if box.kind == b"meta":
            return read_meta(data, box, parts)
    raise NotAnImage(_NO_PICTURE)


def read_pictures(data: bytes, parts: Parts) -> Pictures:
    """Return the pictures in a HEIC that make up the one that is seen.

    Raises:
      NotAnImage: if they are broken, or disagree.
      UnsupportedFormat: if they are put together in a way that hardly anybody uses.
      ImageTooLarge: if they have too many parts.
    """
    meta = read_items(data, parts)
    reader = _Reader(data, meta, parts)
    seen = reader.layer(meta.primary)
    alphas = _alphas(data, meta)
    layers = {}
    for number in dict.fromkeys((seen.number, *seen.tiles)):
        if number in alphas:
            alpha = layers[number] = reader.layer(alphas[number])
            if (seen.number == number and alpha.window != seen.window) or (
                alpha.size != extent(data, meta.items[number])
            ):
                raise NotAnImage(_DISAGREE)
    return Pictures(meta, seen, layers, reader.coded)


class _Reader:
    """Reads the pictures of a file, each coded one once. `coded` are those that have been read."""

    def __init__(self, data: bytes, meta: Meta, parts: Parts) -> None:
        self.coded: dict[int, Coded] = {}
        self._data, self._meta, self._parts = data, meta, parts
        self._left = _SHARED * len(data)

    def layer(self, number: int) -> Layer:
        """Return a picture that is seen, or tells how clear another is."""
        item = self._meta.items[number]
        size = extent(self._data, item)
        tiles: tuple[int, ...] = (number,)
        if item.kind == GRID:
            columns, rows, size_of_grid = grid(self._data, self._meta, item)
            tiles = tuple(self._meta.related(b"dimg", number))
            if len(tiles) != columns * rows or size_of_grid != size:
                raise NotAnImage(_DISAGREE)
            self._check_tiles(size, columns, rows, tiles)
        elif self._picture(number).size != size:
            raise NotAnImage(_DISAGREE)
        return Layer(number, size, tiles, _window(self._data, item, size))

    def _check_tiles(self, size: Size, columns: int, rows: int, tiles: tuple[int, ...]) -> None:
        first = self._picture(tiles[0])
        for number in tiles:
            if self._picture(number) != first:
                raise NotAnImage(_DISAGREE)
            properties = self._meta.items[number].properties
            if not _CHANGES.isdisjoint(box.kind for box in properties):
                raise UnsupportedFormat("HEIC of turned or cropped tiles is not supported.")
        for length, number, tile in zip(size, (columns, rows), first.size, strict=True):
            if not (number - 1) * tile < length <= number * tile:
                raise NotAnImage(_DISAGREE)

    def _picture(self, number: int) -> Coded:
        if number not in self.coded:
            self.coded[number] = self._coded(self._meta.items[number])
        return self.coded[number]

    def _coded(self, item: Item) -> Coded:
        if not item.kind:
            raise NotAnImage(_NO_PICTURE)
        if item.kind != PIXELS:
            raise UnsupportedFormat("HEIC of other parts than pictures and grids is not supported.")
        box = next((box for box in item.properties if box.kind == b"hvcC"), None)
        if box is None:
            raise NotAnImage("The HEIC is broken: a picture in it has no configuration.")
        coded = read_configuration(self._data, box, self._parts)
        if coded.size != extent(self._data, item):
            raise NotAnImage(_DISAGREE)
        stream = content(self._data, self._meta, item)
        self._left -= len(stream)
        if self._left < 0:
            raise NotAnImage("The HEIC is broken: its parts lie upon each other.")
        check_stream(stream, self._parts)
        return coded


def _alphas(data: bytes, meta: Meta) -> dict[int, int]:
    """Return which items say how clear others are, by these."""
    alphas: dict[int, int] = {}
    for kind, source, others in meta.references:
        if kind == b"auxl" and _is_alpha(data, meta.items[source]):
            for other in others:
                if alphas.setdefault(other, source) != source:
                    raise NotAnImage(_TWICE)
    return alphas


def _is_alpha(data: bytes, item: Item) -> bool:
    return any(
        box.kind == b"auxC" and data[box.start + 4 : box.end].split(b"\0")[0] in _ALPHA
        for box in item.properties
    )


def _window(data: bytes, item: Item, size: Size) -> Window:
    """Return the part of a picture that is seen; see section 12.1.4 of ISO/IEC 14496-12."""
    crops = [box for box in item.properties if box.kind == CROP]
    if not crops:
        return 0, 0, *size
    if len(crops) > 1:
        raise NotAnImage(_TWICE)
    fields = Fields(data, crops[0])
    numbers = [int.from_bytes(fields.bytes(4), "big", signed=True) for _ in range(8)]
    if min(numbers[1::2]) < 1:
        raise NotAnImage("The HEIC is broken: it is cropped in no way.")
    width, height, *offsets = map(Fraction, numbers[::2], numbers[1::2])
    edges: list[tuple[int, int]] = []
    for whole, length, offset in zip(size, (width, height), offsets, strict=True):
        start = (offset + (whole - length) / 2).__floor__()
        if length.denominator != 1 or length < 1 or start < 0 or start + length > whole:
            raise NotAnImage("The HEIC is broken: it is cropped in no way.")
        edges.append((start, start + int(length)))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom
