"""The structure of an AV1 stream: how large its frames are, and how many.

A file can say one size and hold another: decoders obey the stream, and scale what comes out.
"""

from dataclasses import dataclass

from actors.imaging.bits import Bits
from actors.imaging.errors import NotAnImage, UnsupportedFormat
from actors.imaging.facts import Size
from actors.imaging.isobmff import TRUNCATED, Parts

_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
_KEY_FRAME, _SWITCH_FRAME = 0, 3
_SELECT = 2

# More than the longest header of a sequence or the part of a frame's that is read here.
_LONGEST_HEADER = 512


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What the header of a sequence says, as far as it matters here."""

    size: Size
    depth: int
    reduced: bool
    presentation_time_bits: int
    frame_id_bits: int
    screen_content_tools: int
    integer_mv: int


class Stream:
    """What is known of one stream of coded frames, as far as it has been read.

    `size` is the one of each frame, `depth` the number of bits of a sample, and `frames` how many
    there are, with those that are never shown.
    """

    def __init__(self) -> None:
        self.size: Size = (0, 0)
        self.depth = 8
        self.frames = 0
        self._sequence: _Sequence | None = None

    def read(self, data: bytes, start: int, end: int, parts: Parts) -> None:
        """Take in the coded data between `start` and `end`.

        Raises:
          NotAnImage: if it is broken, or changes the size.
          UnsupportedFormat: if there are frames of a size of their own.
          ImageTooLarge: if it has too many parts.
        """
        while start < end:
            parts.table(1)
            head = data[start]
            kind, has_extension, has_size = head >> 3 & 15, head >> 2 & 1, head >> 1 & 1
            body = start + 1 + has_extension
            length, body = _leb128(data, body) if has_size else (end - body, body)
            start = body + length
            if length < 0 or start > end:
                raise NotAnImage(TRUNCATED)
            if kind == _SEQUENCE_HEADER:
                self._begin(Bits(data[body : min(start, body + _LONGEST_HEADER)]))
            elif kind in {_FRAME_HEADER, _FRAME}:
                self.frames += 1
                self._check_frame(Bits(data[body : min(start, body + _LONGEST_HEADER)]))

    def _begin(self, bits: Bits) -> None:
        sequence = _sequence_header(bits)
        if self._sequence is not None and sequence.size != self.size:
            raise NotAnImage("The AVIF is broken: its parts disagree about its size.")
        self._sequence, self.size, self.depth = sequence, sequence.size, sequence.depth

    def _check_frame(self, bits: Bits) -> None:
        if self._sequence is None:
            raise NotAnImage("The AVIF is broken: it has a frame of no sequence.")
        if _has_own_size(bits, self._sequence):
            raise UnsupportedFormat("AVIF with frames of different sizes is not supported.")


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    number = 0
    for place, byte in enumerate(data[position : position + 8]):
        number |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return number, position + place + 1
    raise NotAnImage(TRUNCATED)


def _sequence_header(bits: Bits) -> _Sequence:
    """Read it in the order of section 5.5 of the AV1 specification."""
    profile, _still, reduced = bits.take(3), bits.take(1), bool(bits.take(1))
    presentation_time_bits = 0
    if reduced:
        bits.take(5)
    else:
        presentation_time_bits = _operating_points(bits)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    size = bits.take(width_bits) + 1, bits.take(height_bits) + 1
    has_ids = not reduced and bits.take(1)
    frame_id_bits = bits.take(4) + bits.take(3) + 3 if has_ids else 0
    bits.take(3)
    tools, integer_mv = (_SELECT, _SELECT) if reduced else _coding_tools(bits)
    bits.take(3)
    depth = 8
    if bits.take(1):
        depth = 12 if profile == 2 and bits.take(1) else 10
    return _Sequence(size, depth, reduced, presentation_time_bits, frame_id_bits, tools, integer_mv)


def _operating_points(bits: Bits) -> int:
    """Skip what is said of timing, and return the length of a frame's presentation time."""
    delay_bits, presentation_time_bits, equal_interval = 0, 0, False
    if bits.take(1):
        bits.take(64)
        equal_interval = bool(bits.take(1))
        if equal_interval:
            bits.take_variable_length()
        if bits.take(1):
            delay_bits = bits.take(5) + 1
            bits.take(32 + 5)
            presentation_time_bits = bits.take(5) + 1
    has_display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if has_display_delay and bits.take(1):
            bits.take(4)
    return 0 if equal_interval else presentation_time_bits


def _coding_tools(bits: Bits) -> tuple[int, int]:
    """Return whether frames have tools for screen content, and whole numbers in their vectors."""
    bits.take(4)
    has_order_hint = bits.take(1)
    if has_order_hint:
        bits.take(2)
    tools = _SELECT if bits.take(1) else bits.take(1)
    integer_mv = _SELECT
    if tools and not bits.take(1):
        integer_mv = bits.take(1)
    if has_order_hint:
        bits.take(3)
    return tools, integer_mv


def _has_own_size(bits: Bits, sequence: _Sequence) -> bool:
    """Read the header of a frame, in the order of section 5.9.2, up to the answer."""
    if sequence.reduced or bits.take(1):
        return False
    kind, is_shown = bits.take(2), bits.take(1)
    if is_shown:
        bits.take(sequence.presentation_time_bits)
    else:
        bits.take(1)
    if kind != _SWITCH_FRAME and not (kind == _KEY_FRAME and is_shown):
        bits.take(1)
    bits.take(1)
    tools = (
        bits.take(1)
        if sequence.screen_content_tools == _SELECT
        else (sequence.screen_content_tools)
    )
    if tools and sequence.integer_mv == _SELECT:
        bits.take(1)
    bits.take(sequence.frame_id_bits)
    return kind == _SWITCH_FRAME or bool(bits.take(1))
