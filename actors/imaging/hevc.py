"""The structure of a picture coded in HEVC: how large it is, and what it is made of.

A file can say one size and hold another: decoders obey the parameter sets of the stream. They are
taken from the property `hvcC` alone (ISO/IEC 14496-15, section 8.3.3); a stream that brings its own
is refused.
"""

from dataclasses import dataclass

from actors.imaging.bits import Bits
from actors.imaging.errors import NotAnImage, UnsupportedFormat
from actors.imaging.facts import Size
from actors.imaging.isobmff import TRUNCATED, Box, Fields, Parts

# Kinds of units (ITU-T H.265, table 7-1). Pictures are such as need no other: IDR, BLA and CRA.
_PICTURES = range(16, 22)
_PARAMETERS = range(32, 35)
_SEQUENCE_PARAMETERS = 33
_DELIMITERS_AND_MESSAGES = range(35, 41)
_MESSAGES = range(39, 41)

_MOST_BITS = 12
# More than the part of any parameters that is read here.
_LONGEST_HEADER = 512
# Of a profile: its name, and flags.
_PROFILE_BITS, _LEVEL_BITS = 88, 8
_GREY, _FULL = 0, 3
# By how many pixels a sample of colour goes across and down, by the chroma format.
_STEPS = {_GREY: (1, 1), 1: (2, 2), 2: (2, 1), _FULL: (1, 1)}

_BROKEN = "The HEIC is broken: its configuration makes no sense."
_DISAGREE = "The HEIC is broken: its parts disagree about its size."


@dataclass(frozen=True, slots=True)
class Coded:
    """What the parameters of a stream say of its pictures.

    `stored` is the size that is decoded, and `size` what is left of it by its window; `depth` is
    the number of bits of a sample.
    """

    stored: Size
    size: Size
    chroma: int
    depth: int


def read_configuration(data: bytes, box: Box, parts: Parts) -> Coded:
    """Return what the property `hvcC` in `box` says.

    Raises:
      NotAnImage: if it is broken, or says different things.
      UnsupportedFormat: if there are pixels of a kind that hardly anybody writes.
      ImageTooLarge: if it has too many parts.
    """
    fields = Fields(data, box)
    fields.skip(16)
    chroma = fields.number(1) & 3
    depths = {fields.number(1) & 7, fields.number(1) & 7}
    fields.skip(2)
    if fields.number(1) & 3 != 3:
        raise UnsupportedFormat("HEIC with units of less than four bytes' length is not supported.")
    said: set[Coded] = set()
    for _ in range(parts.table(fields.number(1))):
        fields.skip(1)
        for _ in range(parts.table(fields.number(2))):
            unit = fields.bytes(fields.number(2))
            kind = _kind(unit)
            if kind == _SEQUENCE_PARAMETERS:
                said.add(_sequence_parameters(unit))
            elif kind not in _PARAMETERS and kind not in _MESSAGES:
                raise NotAnImage(_BROKEN)
    if len(said) != 1:
        raise NotAnImage(_BROKEN)
    (coded,) = said
    if coded.chroma != chroma or {coded.depth - 8} != depths:
        raise NotAnImage(_BROKEN)
    return coded


def check_stream(stream: bytes, parts: Parts) -> None:
    """Check that `stream` is one picture, which stands for itself.

    Raises:
      NotAnImage: if it is none, or several, or broken.
      UnsupportedFormat: if it has parameters of its own, or needs other pictures.
      ImageTooLarge: if it has too many parts.
    """
    pictures = 0
    fields = Fields(stream, Box(b"", 0, len(stream)))
    while fields.position < len(stream):
        parts.table(1)
        length = fields.number(4)
        head = fields.bytes(min(3, length))
        fields.skip(length - len(head))
        kind = _kind(head)
        if kind in _PICTURES:
            if len(head) < 3:
                raise NotAnImage(TRUNCATED)
            pictures += head[2] >> 7
        elif kind not in _DELIMITERS_AND_MESSAGES:
            raise UnsupportedFormat("HEIC with more in it than a picture is not supported.")
    if pictures != 1:
        raise NotAnImage("The HEIC is broken: a part of it is no picture, or several.")


def _kind(unit: bytes) -> int:
    if len(unit) < 2:
        raise NotAnImage(TRUNCATED)
    forbidden, layer = unit[0] >> 7, (unit[0] & 1) << 5 | unit[1] >> 3
    if forbidden or layer:
        raise UnsupportedFormat("HEIC in layers is not supported.")
    return unit[0] >> 1


def _sequence_parameters(unit: bytes) -> Coded:
    """Read them in the order of section 7.3.2.2.1 of ITU-T H.265, up to the depths."""
    # A byte is put in where there would be a start code.
    bits = Bits(unit[2 : 2 + _LONGEST_HEADER].replace(b"\0\0\3", b"\0\0"))
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    _skip_profile(bits, layers)
    bits.take_variable_length()
    chroma = bits.take_variable_length()
    if chroma not in _STEPS or (chroma == _FULL and bits.take(1)):
        raise UnsupportedFormat("HEIC with colours of this kind is not supported.")
    stored = bits.take_variable_length(), bits.take_variable_length()
    left = right = top = bottom = 0
    if bits.take(1):
        left, right, top, bottom = (bits.take_variable_length() for _ in range(4))
    across, down = _STEPS[chroma]
    size = stored[0] - across * (left + right), stored[1] - down * (top + bottom)
    if min(size) < 1:
        raise NotAnImage(_DISAGREE)
    depth, of_colours = (8 + bits.take_variable_length() for _ in range(2))
    if (depth != of_colours and chroma != _GREY) or depth > _MOST_BITS:
        raise UnsupportedFormat("HEIC with samples of this kind is not supported.")
    return Coded(stored, size, chroma, depth)


def _skip_profile(bits: Bits, layers: int) -> None:
    bits.take(_PROFILE_BITS + _LEVEL_BITS)
    said = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for has_profile, has_level in said:
        bits.take(_PROFILE_BITS * has_profile + _LEVEL_BITS * has_level)
