"""The structure of a HEIC: its pictures, and how they make up the one that is seen.

What is decoded is another HEIC, put together here from the coded pictures alone: a decoder finds
in it no other item, no property that turns or crops, no metadata and no track.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from actors.imaging.errors import ImageTooLarge, NotAnImage, UnsupportedFormat
from actors.imaging.facts import Facts, Limits, Size
from actors.imaging.heif_items import (
    EXIF,
    ORIENTATIONS,
    Item,
    Meta,
    content,
    exif_in,
    extent,
    grid,
    names,
    profile_in,
    read_meta,
)
from actors.imaging.heif_tables import Tables
from actors.imaging.hevc import Coded, check_stream, read_configuration
from actors.imaging.isobmff import Box, Fields, Parts, boxes
from actors.imaging.sizes import check_size

_NAMES = frozenset({b"heic", b"heix"})
_PIXELS, _GRID = b"hvc1", b"grid"
_CROP, _TURN, _MIRROR = b"clap", b"irot", b"imir"
_CHANGES = frozenset({_CROP, _TURN, _MIRROR})
_ALPHA = frozenset({b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"})
_DISAGREE = "The HEIC is broken: its parts disagree about its size."
_NO_PICTURE = "The HEIC has no picture in it."
_TWICE = "The HEIC is broken: it says the same thing twice."

# Equal tiles may share their bytes.
_SHARED = 2
# Besides what is seen there is alpha, and samples of more than 8 bits take two bytes.
_COSTS = 4

_ANY = Limits(max_chunks=sys.maxsize, max_data_chunks=sys.maxsize)

Window = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Layer:
    """A picture: the item, the tiles that it is made of, or itself, and the part that is seen."""

    number: int
    size: Size
    tiles: tuple[int, ...]
    window: Window


@dataclass(frozen=True, slots=True)
class _File:
    """What is decoded. `alphas` are the pictures that say how clear others are, by these."""

    meta: Meta
    seen: _Layer
    alphas: Mapping[int, _Layer]
    coded: Mapping[int, Coded]

    @property
    def layers(self) -> tuple[_Layer, ...]:
        """All pictures, that which is seen before the others."""
        return self.seen, *self.alphas.values()


def is_heic(data: bytes) -> bool:
    """Tell whether `data` begins like a HEIC. A HEIF can hold other things under other names."""
    return not _NAMES.isdisjoint(names(data))


def read_heic(data: bytes, limits: Limits) -> Facts:
    """Return the facts about the still picture in a HEIC.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      UnsupportedFormat: if it is put together in a way that hardly anybody uses.
      ImageTooLarge: if it has too many parts, or its pictures are too large.
    """
    file = _read(data, Parts(limits))
    _check_cost(file, limits)
    left, top, right, bottom = file.seen.window
    return Facts(
        "heic",
        right - left,
        bottom - top,
        orientation=_orientation(data, file.meta.items[file.seen.number].properties),
        depth=file.coded[file.seen.tiles[0]].depth,
    )


def heic_window(data: bytes) -> tuple[Size, Window]:
    """Return the size of what is decoded of a HEIC that `read_heic` has accepted.

    And the part of it that is seen.
    """
    seen = _read(data, Parts(_ANY)).seen
    return seen.size, seen.window


def heic_pixels(data: bytes) -> bytes:
    """Return a HEIC that `read_heic` has accepted with nothing in it but the coded pictures.

    It is neither turned nor cropped.
    """
    file = _read(data, Parts(_ANY))
    numbers = dict.fromkeys(
        number for layer in file.layers for number in (layer.number, *layer.tiles)
    )
    # The names of the items in the new file: 1 is that which is seen.
    renamed = {number: new for new, number in enumerate(numbers, 1)}
    tables = Tables()
    for number in numbers:
        item = file.meta.items[number]
        properties = [(box.kind, data[box.start : box.end]) for box in _needed(data, item)]
        tables.add(item.kind, content(data, file.meta, item), properties)
    for layer in file.layers:
        if layer.tiles != (layer.number,):
            tables.refer(b"dimg", renamed[layer.number], [renamed[each] for each in layer.tiles])
    premultiplied = {
        (source, other)
        for kind, source, others in file.meta.references
        if kind == b"prem"
        for other in others
    }
    for number, alpha in file.alphas.items():
        tables.refer(b"auxl", renamed[alpha.number], [renamed[number]])
        if (number, alpha.number) in premultiplied:
            tables.refer(b"prem", renamed[number], [renamed[alpha.number]])
    return tables.written()


def heic_exif(data: bytes) -> bytes:
    """Return the EXIF in a HEIC that `read_heic` has accepted; nothing if it is not there."""
    meta = _meta(data, Parts(_ANY))
    for number, item in meta.items.items():
        if item.kind == EXIF and meta.primary in meta.related(b"cdsc", number):
            return exif_in(data, meta, item)
    return b""


def heic_has_metadata(data: bytes) -> bool:
    """Tell whether a HEIC that `read_heic` has accepted says more than pixels and colours."""
    items = _meta(data, Parts(_ANY)).items.values()
    return any(item.kind not in {_PIXELS, _GRID} for item in items)


def heic_profile(data: bytes) -> bytes | None:
    """Return the colour profile in a HEIC that `read_heic` has accepted, if there is one."""
    file = _read(data, Parts(_ANY))
    items = (file.meta.items[number] for number in (file.seen.number, file.seen.tiles[0]))
    return profile_in(data, [box for item in items for box in item.properties])


def _meta(data: bytes, parts: Parts) -> Meta:
    for box in boxes(data, Box(b"", 0, len(data)), parts):
        if box.kind == b"meta":
            return read_meta(data, box, parts)
    raise NotAnImage(_NO_PICTURE)


def _read(data: bytes, parts: Parts) -> _File:
    meta = _meta(data, parts)
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
    return _File(meta, seen, layers, reader.coded)


class _Reader:
    """Reads the pictures of a file, each coded one once. `coded` are those that have been read."""

    def __init__(self, data: bytes, meta: Meta, parts: Parts) -> None:
        self.coded: dict[int, Coded] = {}
        self._data, self._meta, self._parts = data, meta, parts
        self._left = _SHARED * len(data)

    def layer(self, number: int) -> _Layer:
        """Return a picture that is seen, or tells how clear another is."""
        item = self._meta.items[number]
        size = extent(self._data, item)
        tiles: tuple[int, ...] = (number,)
        if item.kind == _GRID:
            columns, rows, size_of_grid = grid(self._data, self._meta, item)
            tiles = tuple(self._meta.related(b"dimg", number))
            if len(tiles) != columns * rows or size_of_grid != size:
                raise NotAnImage(_DISAGREE)
            self._check_tiles(size, columns, rows, tiles)
        elif self._picture(number).size != size:
            raise NotAnImage(_DISAGREE)
        return _Layer(number, size, tiles, _window(self._data, item, size))

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
        if item.kind != _PIXELS:
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


def _check_cost(file: _File, limits: Limits) -> None:
    check_size(file.seen.size, limits)
    for coded in file.coded.values():
        check_size(coded.stored, limits)
    costs = (
        coded.stored[0] * coded.stored[1] * (2 if coded.depth > 8 else 1)
        for layer in file.layers
        for coded in (file.coded[number] for number in layer.tiles)
    )
    pixels = sum(costs)
    if pixels > _COSTS * limits.max_pixels:
        raise ImageTooLarge(
            f"The HEIC has {pixels:,} coded pixels, those of more than 8 bits counted twice; "
            f"at most {_COSTS * limits.max_pixels:,} are allowed."
        )


def _window(data: bytes, item: Item, size: Size) -> Window:
    """Return the part of a picture that is seen; see section 12.1.4 of ISO/IEC 14496-12."""
    crops = [box for box in item.properties if box.kind == _CROP]
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


def _orientation(data: bytes, properties: Iterable[Box]) -> int:
    """Return what is done to a picture, one after the other, as EXIF says it."""
    turns, is_mirrored = 0, False
    kinds: list[bytes] = []
    for box in properties:
        if box.kind == _TURN:
            quarters = Fields(data, box).number(1) & 3
            turns += -quarters if is_mirrored else quarters
        elif box.kind == _MIRROR:
            # To have top and bottom change places is to turn it over, and left and right change.
            turns += 0 if Fields(data, box).number(1) & 1 else 2
            is_mirrored = not is_mirrored
        elif box.kind == _CROP and kinds:
            raise UnsupportedFormat("HEIC that is turned before it is cropped is not supported.")
        if box.kind in {_TURN, _MIRROR}:
            kinds.append(box.kind)
    return ORIENTATIONS[turns % 4, 1 if is_mirrored else None]


def _needed(data: bytes, item: Item) -> Iterator[Box]:
    """Yield what a decoder must know of an item, each once."""
    seen: set[bytes] = set()
    for box in item.properties:
        is_needed = box.kind in {b"hvcC", b"ispe", b"auxC"} or (
            box.kind == b"colr" and data[box.start : box.start + 4] == b"nclx"
        )
        if is_needed and box.kind not in seen:
            seen.add(box.kind)
            yield box
