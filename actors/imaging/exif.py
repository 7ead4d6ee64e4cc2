"""The one thing in EXIF that changes what an image looks like."""

import struct

_TAG = 0x0112
_WIDTHS = {3: "H", 4: "I"}
_MAX_ENTRIES = 512


def orientation(exif: bytes) -> int:
    """Return the orientation in `exif` (a TIFF header and what follows), or 1 if there is none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        return _find(exif, order)
    except struct.error:
        return 1


def _find(exif: bytes, order: str) -> int:
    (directory,) = struct.unpack_from(order + "I", exif, 4)
    (entries,) = struct.unpack_from(order + "H", exif, directory)
    for entry in range(min(entries, _MAX_ENTRIES)):
        start = directory + 2 + 12 * entry
        tag, kind, count = struct.unpack_from(order + "HHI", exif, start)
        if tag == _TAG and count == 1 and kind in _WIDTHS:
            value: int = struct.unpack_from(order + _WIDTHS[kind], exif, start + 8)[0]
            return value if 1 <= value <= 8 else 1
    return 1
