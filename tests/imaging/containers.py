"""AVIF and TIFF put together from their parts, for the tests that need them broken."""

import struct
from itertools import chain

from tests.imaging.pictures import written


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of an ISO base media file."""
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full(kind: bytes, *parts: bytes, version=0, flags=0) -> bytes:
    """A box with a version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def coded(image, **options) -> tuple[bytes, bytes]:
    """The AV1 stream of a picture, and the box that goes with it."""
    data = written(image, "avif", **options)
    config = data.index(b"av1C") - 4
    return data[data.index(b"mdat") + 4 :], data[config : config + 12]


def ispe(width, height) -> bytes:
    """The property that tells a size."""
    return full(b"ispe", struct.pack(">II", width, height))


def avif(  # noqa: PLR0913 - each is a way to break it
    items,
    properties,
    associations,
    *,
    references=b"",
    primary=1,
    brands=(b"avif", b"mif1"),
    extents=None,
    inside=b"",
    more=b"",
) -> bytes:
    """An AVIF of `items`, each a kind and its bytes, numbered from 1.

    `associations` are the numbers of the properties of each item, and `extents` are where an item
    lies, if not where it is: a function of its number, start and length.
    """
    head = box(b"ftyp", brands[0], bytes(4), *brands)
    place = extents or (lambda _number, start, length: [(start, length)])
    infos = b"".join(
        full(b"infe", struct.pack(">HH4s", number, 0, kind), b"\0", version=2)
        for number, (kind, _) in enumerate(items, 1)
    )
    associated = b"".join(
        struct.pack(">HB", number, len(indices)) + bytes(indices)
        for number, indices in associations.items()
    )

    def meta(start) -> bytes:
        places = b""
        for number, (_, body) in enumerate(items, 1):
            where = place(number, start, len(body))
            places += struct.pack(">HHH", number, 0, len(where))
            places += b"".join(struct.pack(">II", *extent) for extent in where)
            start += len(body)
        return full(
            b"meta",
            full(b"hdlr", bytes(4), b"pict", bytes(13)),
            full(b"pitm", struct.pack(">H", primary)),
            full(b"iloc", struct.pack(">HH", 0x4400, len(items)), places),
            full(b"iinf", struct.pack(">H", len(items)), infos),
            full(b"iref", references) if references else b"",
            box(
                b"iprp",
                box(b"ipco", *properties),
                full(b"ipma", struct.pack(">I", len(associations)), associated),
            ),
            inside,
        )

    bodies: bytes = b"".join(body for _, body in items)
    start = len(head) + len(meta(0)) + len(more) + 8
    rest: bytes = more + box(b"mdat", bodies)
    return head + meta(start) + rest


def reference(kind: bytes, source, *others) -> bytes:
    """A reference from one item to others."""
    return box(kind, struct.pack(f">HH{len(others)}H", source, len(others), *others))


def grid(columns, rows, width, height) -> bytes:
    """What an item says that is put together from others."""
    return struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)


def sequence(  # noqa: PLR0913 - each is a way to break it
    samples,
    config,
    size,
    *,
    sizes=None,
    chunks=None,
    in_chunks=None,
    delays=None,
    scale=1000,
    edits=b"",
    duration=2**32 - 1,
    brands=(b"avis", b"msf1"),
) -> bytes:
    """An AVIF that is an animation and nothing else.

    Args:
      sizes: the table of the sizes of the samples, if not the true one.
      chunks: where the samples lie, a function of where they begin.
      in_chunks: the rows of how many samples there are to a chunk.
    """
    head = box(b"ftyp", brands[0], bytes(4), *brands)
    number = len(samples)

    def moov(start) -> bytes:
        places = chunks(start) if chunks else [start]
        rows = in_chunks or [(1, number, 1)]
        times = delays or [(number, 100)]
        table = box(
            b"stbl",
            full(b"stsd", struct.pack(">I", 1), box(b"av01", bytes(78), config)),
            full(b"stts", _rows(times)),
            full(b"stsc", _rows(rows)),
            full(b"stsz", sizes or bytes(4) + _rows([(len(sample),) for sample in samples])),
            full(b"stco", _rows([(place,) for place in places])),
        )
        header = struct.pack(">IIIII", 0, 0, 1, 0, duration) + bytes(52)
        header += struct.pack(">II", size[0] << 16, size[1] << 16)
        media = full(b"mdhd", struct.pack(">IIIII", 0, 0, scale, 100 * number, 0))
        handler = full(b"hdlr", bytes(4), b"pict", bytes(13))
        track = box(
            b"trak",
            full(b"tkhd", header, flags=1),
            edits,
            box(b"mdia", media, handler, box(b"minf", table)),
        )
        return box(b"moov", track)

    start = len(head) + len(moov(0)) + 8
    return head + moov(start) + box(b"mdat", *samples)


def edits(once_through, *, repeated=True) -> bytes:
    """The box that tells how long an animation takes once."""
    row = struct.pack(">IIIHH", 1, once_through, 0, 1, 0)
    return box(b"edts", full(b"elst", row, flags=repeated))


def _rows(rows) -> bytes:
    numbers = list(chain.from_iterable(rows))
    return struct.pack(f">I{len(numbers)}I", len(rows), *numbers)


def tiff(fields, pixels=b"", *, order="<", following=0) -> bytes:
    """A TIFF of one directory.

    Args:
      fields: the kind and the values of each tag; for `pixels` a value may be None: where they are.
      following: where the next directory is said to be.
    """
    widths = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B"}
    table, rest = b"", b""
    start = 8 + 2 + 12 * len(fields) + 4
    for tag, (kind, *values) in sorted(fields.items()):
        known = [start if value is None else value for value in values]
        body = struct.pack(f"{order}{len(values)}{widths[kind]}", *known)
        if len(body) > 4:
            place = struct.pack(order + "I", start + len(pixels) + len(rest))
            rest += body + b"\0" * (len(body) % 2)
        else:
            place = body.ljust(4, b"\0")
        table += struct.pack(order + "HHI", tag, kind, len(values)) + place
    mark = {"<": b"II", ">": b"MM"}[order]
    head: bytes = mark + struct.pack(order + "HIH", 42, 8, len(fields))
    last: bytes = struct.pack(order + "I", following) + pixels + rest
    return head + table + last


def plain_tiff(width=4, height=3, *, order="<", pixels=None, **changes) -> bytes:
    """An uncompressed grey TIFF in one strip, with fields changed: `t258=(3, 16)`, or left out."""
    pixels = bytes(width * height) if pixels is None else pixels
    fields = {
        0x100: (4, width), 0x101: (4, height), 0x102: (3, 8), 0x103: (3, 1), 0x106: (3, 1),
        0x111: (4, None), 0x115: (3, 1), 0x116: (4, height), 0x117: (4, len(pixels)),
    }  # fmt: skip
    changed = {**fields, **{int(name[1:]): value for name, value in changes.items()}}
    kept = {tag: value for tag, value in changed.items() if value is not None}
    return tiff(kept, pixels + b"\0" * (len(pixels) % 2), order=order)
