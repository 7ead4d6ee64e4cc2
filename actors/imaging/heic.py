"""The structure of a HEIC: its pictures, and how they make up the one that is seen.

What is decoded is another HEIC, put together here from the coded pictures alone: a decoder finds
in it no other item, no property that turns or crops, no metadata and no track.
"""

import sys
from collections.abc import Iterable, Iterator

from actors.imaging.errors import ImageTooLarge, UnsupportedFormat
from actors.imaging.facts import Facts, Limits, Size
from actors.imaging.heic_pictures import (
    CROP,
    GRID,
    MIRROR,
    PIXELS,
    TURN,
    Pictures,
    Window,
    read_items,
    read_pictures,
)
from actors.imaging.heif_items import (
    EXIF,
    ORIENTATIONS,
    Item,
    content,
    exif_in,
    names,
    profile_in,
)
from actors.imaging.heif_tables import Tables
from actors.imaging.isobmff import Box, Fields, Parts
from actors.imaging.sizes import check_size

_NAMES = frozenset({b"heic", b"heix"})

# Besides what is seen there is alpha, and samples of more than 8 bits take two bytes.
_COSTS = 4

_ANY = Limits(max_chunks=sys.maxsize, max_data_chunks=sys.maxsize)


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
    file = read_pictures(data, Parts(limits))
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
    seen = read_pictures(data, Parts(_ANY)).seen
    return seen.size, seen.window


def heic_pixels(data: bytes) -> bytes:
    """Return a HEIC that `read_heic` has accepted with nothing in it but the coded pictures.

    It is neither turned nor cropped.
    """
    file = read_pictures(data, Parts(_ANY))
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
    meta = read_items(data, Parts(_ANY))
    for number, item in meta.items.items():
        if item.kind == EXIF and meta.primary in meta.related(b"cdsc", number):
            return exif_in(data, meta, item)
    return b""


def heic_has_metadata(data: bytes) -> bool:
    """Tell whether a HEIC that `read_heic` has accepted says more than pixels and colours."""
    items = read_items(data, Parts(_ANY)).items.values()
    return any(item.kind not in {PIXELS, GRID} for item in items)


def heic_profile(data: bytes) -> bytes | None:
    """Return the colour profile in a HEIC that `read_heic` has accepted, if there is one."""
    file = read_pictures(data, Parts(_ANY))
    items = (file.meta.items[number] for number in (file.seen.number, file.seen.tiles[0]))
    return profile_in(data, [box for item in items for box in item.properties])


def _check_cost(file: Pictures, limits: Limits) -> None:
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


def _orientation(data: bytes, properties: Iterable[Box]) -> int:
    """Return what is done to a picture, one after the other, as EXIF says it."""
    turns, is_mirrored = 0, False
    kinds: list[bytes] = []
    for box in properties:
        if box.kind == TURN:
            quarters = Fields(data, box).number(1) & 3
            turns += -quarters if is_mirrored else quarters
        elif box.kind == MIRROR:
            # To have top and bottom change places is to turn it over, and left and right change.
            turns += 0 if Fields(data, box).number(1) & 1 else 2
            is_mirrored = not is_mirrored
        elif box.kind == CROP and kinds:
            raise UnsupportedFormat("HEIC that is turned before it is cropped is not supported.")
        if box.kind in {TURN, MIRROR}:
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
