"""HEIC, written by the encoder in pillow-heif or put together from its parts."""

import io
import re
import struct

import pillow_heif

from tests.imaging.containers import avif, box, full, grid, ispe, reference

BRANDS = (b"heic", b"mif1")
ALPHA = full(b"auxC", b"urn:mpeg:hevc:2015:auxid:1\0")
VIDEO_PARAMETERS, SEQUENCE_PARAMETERS, PICTURE_PARAMETERS = 32, 33, 34


def heic(image, **options) -> bytes:
    """`image` as a file."""
    return saved(pillow_heif.from_pillow(image), **options)


def saved(file, **options) -> bytes:
    """What pillow-heif has as a file."""
    data = io.BytesIO()
    file.save(data, **{"quality": 90, **options})
    return data.getvalue()


def reference_of(data: bytes):
    """What pillow-heif makes of a file, upright."""
    return pillow_heif.open_heif(data).to_pillow()


def coded(image, **options) -> tuple[bytes, bytes]:
    """The HEVC stream of a picture, whose edges must be multiples of 64, and its `hvcC`."""
    data = heic(image, **options)
    start = data.index(b"hvcC") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    return data[data.index(b"mdat") + 4 :], data[start : start + length]


def assembled(items, properties, associations, **more) -> bytes:
    """A HEIC of `items`, as `containers.avif` takes them."""
    return avif(items, properties, associations, **{"brands": BRANDS, **more})


def tiled(stream, config, columns, rows, size, *, number=None, said=(64, 64), **more) -> bytes:
    """A HEIC of equal tiles, which are said to be so many and so large."""
    number = columns * rows if number is None else number
    items = [(b"grid", grid(columns, rows, *size)), *[(b"hvc1", stream)] * number]
    associations = {1: [1]} | {n: [2, 3] for n in range(2, number + 2)}
    parts = reference(b"dimg", 1, *range(2, number + 2))
    properties = [ispe(*size), ispe(*said), config]
    return assembled(items, properties, associations, references=parts, **more)


def units_of(config: bytes) -> dict[int, bytes]:
    """The parameters in an `hvcC`, by their kinds."""
    units, start = {}, 8 + 23
    for _ in range(config[8 + 22]):
        length = int.from_bytes(config[start + 3 : start + 5], "big")
        units[config[start] & 63] = config[start + 5 : start + 5 + length]
        start += 5 + length
    return units


def configured(config: bytes, units) -> bytes:
    """An `hvcC` with other parameters, each a kind and its bytes."""
    arrays = b"".join(struct.pack(">BHH", kind, 1, len(unit)) + unit for kind, unit in units)
    return box(b"hvcC", config[8 : 8 + 22], bytes((len(units),)), arrays)


def with_size(config: bytes, width, height, window=None) -> bytes:
    """An `hvcC` that says another size, with a window of these offsets."""
    units = units_of(config)
    units[SEQUENCE_PARAMETERS] = sized(units[SEQUENCE_PARAMETERS], width, height, window)
    return configured(config, list(units.items()))


def sized(unit: bytes, width, height, window=None) -> bytes:
    """Parameters of a sequence in one layer that say another size."""
    body = unit.replace(b"\0\0\3", b"\0\0")
    bits = "".join(f"{byte:08b}" for byte in body)
    # Behind the head of the unit, 8 bits and the profile.
    position = 16 + 8 + 96
    numbers = []
    for _ in range(4):
        number, position = _number(bits, position)
        numbers.append(number)
    has_window = bits[position] == "1"
    position += 1
    for _ in range(4 * has_window):
        _, position = _number(bits, position)
    head = bits[: 16 + 8 + 96] + "".join(map(_coded, (*numbers[:2], width, height)))
    cut = "1" + "".join(map(_coded, window)) if window else "0"
    changed = head + cut + bits[position:].rstrip("0")
    changed += "0" * (-len(changed) % 8)
    whole = int(changed, 2).to_bytes(len(changed) // 8, "big")
    return re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", whole)


def _number(bits: str, position: int) -> tuple[int, int]:
    zeros = bits.index("1", position) - position
    end = position + 2 * zeros + 1
    return int(bits[position + zeros : end], 2) - 1, end


def _coded(number: int) -> str:
    digits = f"{number + 1:b}"
    return "0" * (len(digits) - 1) + digits
