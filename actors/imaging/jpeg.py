"""The structure of a JPEG: segments, scans and the frame header."""

import re
import struct
from collections.abc import Iterator

from actors.imaging.errors import ImageTooLarge, NotAnImage, UnsupportedFormat
from actors.imaging.exif import orientation
from actors.imaging.facts import MAX_PROFILE, Facts, Limits
from actors.imaging.sizes import check_size

_SOI, _EOI, _SOS, _APP0, _APP1, _APP2 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2
_LOWEST = 0xC0
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
_LOSSLESS_OR_HIERARCHICAL = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})

# What applications add is metadata, but for JFIF and Adobe (APP0, APP14), which tell how the
# colours are coded.
_APPLICATIONS = frozenset(range(0xE0, 0xF0))
_METADATA = _APPLICATIONS - {0xE0, 0xEE} | {0xFE}
# What is shorter, libjpeg does not heed, and Pillow stumbles over.
_LEAST = 16
# How long the segment of JFIF is that has no thumbnail.
_BARE_JFIF = 18
_EXIF, _PROFILE = b"Exif\0\0", b"ICC_PROFILE\0"

# The next marker that is more than a stuffed 0xFF in the coded data, a fill byte or a restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

# Honest pictures of the largest size have some ten scans; these are forty, by the default limits.
_SCANNED = 10

# Decoders skip rubbish between the segments of the header, some of them byte by byte.
_MAX_RUBBISH = 4_096


def read_jpeg(data: bytes, limits: Limits) -> Facts:
    """Return the facts about a JPEG.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      UnsupportedFormat: if it is a kind of JPEG that only specialists use.
      ImageTooLarge: if it is too large, or has too many segments or scans.
    """
    frame, kind, exif, scans = b"", 0, b"", 0
    for count, (code, start, end) in enumerate(_segments(data), start=1):
        if code == _SOS:
            scans += 1
            if kind in _SEQUENTIAL and data[start + 4 : end][:1] == frame[5:6]:
                # It has all components at once, and decoders refuse another one after it. So its
                # megabytes are not looked through, which takes a 30th of decoding them.
                _check_end(data, end)
                break
        elif code in _FRAME_HEADERS:
            if frame:
                raise NotAnImage("The JPEG has more than one frame header.")
            frame, kind = data[start + 4 : end], code
            _check_kind(code, frame)
        elif code == _APP1 and not exif and data.startswith(_EXIF, start + 4):
            exif = data[start + 4 + len(_EXIF) : end]
        if scans > limits.max_scans:
            raise ImageTooLarge(f"The JPEG has more than {limits.max_scans:,} scans.")
        if count > limits.max_chunks:
            raise ImageTooLarge(f"The JPEG has more than {limits.max_chunks:,} segments.")
    if not frame or not scans:
        raise NotAnImage("The JPEG has no picture in it.")
    height, width = struct.unpack_from(">HH", frame, 1)
    check_size((width, height), limits)
    # Each scan goes over all of the picture, however little it has to say.
    if width * height * scans > _SCANNED * limits.max_total_pixels:
        raise ImageTooLarge(
            f"The JPEG is {width:,} x {height:,} pixels in {scans:,} scans; "
            f"at most {_SCANNED * limits.max_total_pixels:,} in all scans are allowed."
        )
    return Facts("jpeg", width, height, orientation=orientation(exif), scans=scans)


def jpeg_without_metadata(data: bytes) -> bytes:
    """Return a JPEG that `read_jpeg` has accepted, without what says nothing about its pixels."""
    view = memoryview(data)
    parts = [view[:2]]
    for code, start, end in _segments(data):
        if code == _SOS:
            parts.append(view[start:])
            break
        is_cut = code in _APPLICATIONS and end - start < _LEAST
        if code not in _METADATA and not is_cut:
            parts.append(view[start:end])
    # Megabytes, which most of the time need not be copied.
    return data if sum(map(len, parts)) == len(data) else b"".join(parts)


def jpeg_first_scan(data: bytes, more: bytes = b"") -> bytes:
    """Return a JPEG that `read_jpeg` has accepted, with its first scan only, and `more` in that.

    In whichever way it is coded, that is what the middle of each block is in.
    """
    scan = next(end for code, _, end in _segments(data) if code == _SOS)
    after = _MARKER.search(data, scan)
    end = after.start() if after else len(data)
    return b"".join((memoryview(data)[:end], more, b"\xff", bytes((_EOI,))))


def jpeg_exif(data: bytes) -> bytes:
    """Return the EXIF in a JPEG that `read_jpeg` has accepted, or nothing."""
    return next(_payloads(data, _APP1, _EXIF), b"")


def jpeg_profile(data: bytes) -> bytes | None:
    """Return the colour profile in a JPEG that `read_jpeg` has accepted, if there is one.

    It is in pieces. Each begins with its own number and with how many there are.
    """
    pieces = sorted(_payloads(data, _APP2, _PROFILE))
    profile = b"".join(piece[2:] for piece in pieces)
    if [piece[:2] for piece in pieces] != [
        bytes((number, len(pieces))) for number in range(1, len(pieces) + 1)
    ]:
        return None
    return profile if 0 < len(profile) <= MAX_PROFILE else None


def jpeg_has_metadata(data: bytes) -> bool:
    """Tell whether a JPEG that `read_jpeg` has accepted says more than pixels and colours."""
    for code, start, end in _segments(data):
        if code == _SOS:
            break
        is_profile = code == _APP2 and data.startswith(_PROFILE, start + 4)
        is_thumbnail = code == _APP0 and end - start > _BARE_JFIF
        if is_thumbnail or (code in _METADATA and not is_profile):
            return True
    return False


def _payloads(data: bytes, wanted: int, name: bytes) -> Iterator[bytes]:
    for code, start, end in _segments(data):
        if code == _SOS:
            return
        if code == wanted and data.startswith(name, start + 4):
            yield data[start + 4 + len(name) : end]


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the code, the start and the end of each segment, up to the end of the first image.

    Markers are followed in the way that decoders do, so none can hide in the payload of another.
    """
    position, rubbish, in_header = 2, 0, True
    while marker := _MARKER.search(data, position):
        code, start = data[marker.end() - 1], marker.start()
        if in_header:
            rubbish += start - position
            in_header = code != _SOS
        if rubbish > _MAX_RUBBISH:
            raise NotAnImage("The header of the JPEG is broken.")
        if code == _EOI:
            return
        if code < _LOWEST or code == _SOI:
            raise NotAnImage("The JPEG is broken: it has a marker that does not belong there.")
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        position = start + 2 + length
        if length < 2 or position > len(data):
            break
        yield code, start, position
    raise NotAnImage("The JPEG is truncated.")


def _check_end(data: bytes, scan: int) -> None:
    if data.rfind(b"\xff" + bytes((_EOI,)), scan) < 0:
        raise NotAnImage("The JPEG is truncated.")


def _check_kind(code: int, frame: bytes) -> None:
    if len(frame) < 6:
        raise NotAnImage("The JPEG is broken: its frame header is too short.")
    if code in _LOSSLESS_OR_HIERARCHICAL:
        raise UnsupportedFormat("Lossless and hierarchical JPEG are not supported.")
    if frame[0] != 8:
        raise UnsupportedFormat(f"The JPEG has {frame[0]} bits to a sample; 8 are supported.")
