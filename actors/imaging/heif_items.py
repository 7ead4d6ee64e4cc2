"""The items of AVIF and HEIC: their still pictures, and what is said about them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from actors.imaging.errors import NotAnImage
from actors.imaging.facts import MAX_PROFILE, Size
from actors.imaging.isobmff import TRUNCATED, Box, Fields, Parts, boxes, by_kind

EXIF = b"Exif"
METADATA = frozenset({EXIF, b"mime"})

# What is said of orientation is the quarters of a turn against the clock, and then which sides
# change places, if any: 0 for top and bottom, 1 for left and right. It is here as EXIF says it.
ORIENTATIONS = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 0): 4, (1, 0): 5, (2, 0): 2, (3, 0): 7,
    (0, 1): 2, (1, 1): 7, (2, 1): 4, (3, 1): 5,
}  # fmt: skip

_PROFILES = frozenset({b"prof", b"rICC"})
_LONGEST_LIST_OF_NAMES = 4_096


@dataclass(slots=True)
class Item:
    """One thing in the file.

    `kind_at` is where its kind stands, `extents` are where its parts lie: from where, and how
    many bytes. `is_inside` if that is counted from the beginning of the meta box's own data.
    """

    kind: bytes = b""
    kind_at: int = 0
    is_inside: bool = False
    extents: list[tuple[int, int]] = field(default_factory=list)
    properties: list[Box] = field(default_factory=list)


@dataclass(slots=True)
class Meta:
    """What a meta box says. A reference is of a kind, and from one item to others."""

    primary: int = 0
    inside: Box | None = None
    items: dict[int, Item] = field(default_factory=lambda: defaultdict(Item))
    references: list[tuple[bytes, int, list[int]]] = field(default_factory=list)

    def places(self, item: Item, data: bytes) -> list[tuple[int, int]]:
        """Return the start and the end in `data` of each part of `item`.

        Raises:
          NotAnImage: if one of them is not there.
        """
        base, end = 0, len(data)
        if item.is_inside:
            if self.inside is None:
                raise NotAnImage(TRUNCATED)
            base, end = self.inside.start, self.inside.end
        places = [(base + start, base + start + length) for start, length in item.extents]
        length = sum(length for _, length in item.extents)
        if length > len(data) or any(stop > end for _, stop in places):
            raise NotAnImage(TRUNCATED)
        return places

    def related(self, kind: bytes, number: int) -> list[int]:
        """Return the items that item `number` refers to in this way."""
        return [
            other
            for name, source, others in self.references
            if name == kind and source == number
            for other in others
        ]


def names(data: bytes) -> set[bytes]:
    """Return what an ISO base media file calls itself at its beginning."""
    length = int.from_bytes(data[:4], "big")
    if data[4:8] != b"ftyp" or length > _LONGEST_LIST_OF_NAMES:
        return set()
    said = data[8:12] + data[16:length]
    return {said[start : start + 4] for start in range(0, len(said) - 3, 4)}


def content(data: bytes, meta: Meta, item: Item) -> bytes:
    """Return the bytes of an item, put together from its parts.

    Raises:
      NotAnImage: if one of them is not there.
    """
    return b"".join(data[start:end] for start, end in meta.places(item, data))


def extent(data: bytes, item: Item) -> Size:
    """Return the size that an item is said to have.

    Raises:
      NotAnImage: if there is no such.
    """
    for box in item.properties:
        if box.kind == b"ispe":
            fields = Fields(data, box)
            fields.skip(4)
            return fields.number(4), fields.number(4)
    raise NotAnImage("The image is broken: it does not say its size.")


def grid(data: bytes, meta: Meta, item: Item) -> tuple[int, int, Size]:
    """Return how many columns and rows of tiles make a picture, and its size.

    Raises:
      NotAnImage: if that is cut.
    """
    body = content(data, meta, item)
    fields = Fields(body, Box(b"grid", 0, len(body)))
    of_edge = 4 if fields.number(2) & 1 else 2
    rows, columns = fields.number(1) + 1, fields.number(1) + 1
    return columns, rows, (fields.number(of_edge), fields.number(of_edge))


def exif_in(data: bytes, meta: Meta, item: Item) -> bytes:
    """Return the EXIF that an item holds; nothing if it is not there."""
    try:
        body = content(data, meta, item)
    except NotAnImage:
        return b""
    return body[4 + int.from_bytes(body[:4], "big") :].removeprefix(b"Exif\0\0")


def profile_in(data: bytes, properties: Iterable[Box]) -> bytes | None:
    """Return the colour profile among what is said of a picture, if there is one."""
    for box in properties:
        start = box.start + 4
        if box.kind == b"colr" and data[box.start : start] in _PROFILES:
            return data[start : box.end] if box.end - start <= MAX_PROFILE else None
    return None


def read_meta(data: bytes, box: Box, parts: Parts) -> Meta:
    """Return what a meta box says.

    Raises:
      NotAnImage: if it is broken.
      ImageTooLarge: if it has too many parts.
    """
    meta = Meta()
    tables = by_kind(boxes(data, box.after(4), parts))
    if b"pitm" in tables:
        fields = Fields(data, tables[b"pitm"])
        meta.primary = fields.number(2 if fields.version() == 0 else 4)
    if b"iinf" in tables:
        _read_kinds(data, tables[b"iinf"], meta, parts)
    if b"iloc" in tables:
        _read_places(Fields(data, tables[b"iloc"]), meta, parts)
    if b"iprp" in tables:
        _read_properties(data, tables[b"iprp"], meta, parts)
    if b"iref" in tables:
        _read_references(data, tables[b"iref"], meta, parts)
    meta.inside = tables.get(b"idat")
    return meta


def _read_kinds(data: bytes, box: Box, meta: Meta, parts: Parts) -> None:
    fields = Fields(data, box)
    fields.skip(2 if fields.version() == 0 else 4)
    for entry in boxes(data, fields.rest(), parts):
        fields = Fields(data, entry)
        number = fields.number(2 if fields.version() < 3 else 4)
        fields.skip(2)
        item = meta.items[number]
        item.kind_at = fields.position
        item.kind = fields.bytes(4)


def _read_places(fields: Fields, meta: Meta, parts: Parts) -> None:
    version = fields.version()
    sizes = fields.number(2)
    of_start, of_length, of_base = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    of_index = sizes & 15 if version else 0
    of_number = 2 if version < 2 else 4
    for _ in range(parts.table(fields.number(of_number))):
        item = meta.items[fields.number(of_number)]
        if item.extents:
            raise NotAnImage("The image is broken: it has an item in two places.")
        item.is_inside = bool(version) and fields.number(2) & 15 == 1
        fields.skip(2)
        base = fields.number(of_base)
        for _ in range(parts.table(fields.number(2))):
            fields.skip(of_index)
            start = base + fields.number(of_start)
            item.extents.append((start, fields.number(of_length)))


def _read_properties(data: bytes, box: Box, meta: Meta, parts: Parts) -> None:
    properties: list[Box] = []
    for child in boxes(data, box, parts):
        if child.kind == b"ipco" and not properties:
            properties = list(boxes(data, child, parts))
        elif child.kind == b"ipma":
            _associate(Fields(data, child), properties, meta, parts)


def _associate(fields: Fields, properties: list[Box], meta: Meta, parts: Parts) -> None:
    head = fields.number(4)
    of_number, of_index = 2 if head < 1 << 24 else 4, 2 if head & 1 else 1
    for _ in range(parts.table(fields.number(4))):
        item = meta.items[fields.number(of_number)]
        for _ in range(parts.table(fields.number(1))):
            # The highest bit says that who does not know the property must not show the item.
            index = fields.number(of_index) & (1 << 8 * of_index - 1) - 1
            if index > len(properties):
                raise NotAnImage("The image is broken: an item has a property that is not there.")
            if index:
                item.properties.append(properties[index - 1])


def _read_references(data: bytes, box: Box, meta: Meta, parts: Parts) -> None:
    fields = Fields(data, box)
    of_number = 2 if fields.version() == 0 else 4
    for entry in boxes(data, fields.rest(), parts):
        fields = Fields(data, entry)
        source = fields.number(of_number)
        others = [fields.number(of_number) for _ in range(parts.table(fields.number(2)))]
        meta.references.append((entry.kind, source, others))
