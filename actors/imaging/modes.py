"""The modes that a picture has between operations, which are L, LA, RGB and RGBA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from PIL import Image

_COLOURED: Mapping[str, str] = MappingProxyType({"L": "RGB", "LA": "RGBA"})
_PREMULTIPLIED: Mapping[str, str] = MappingProxyType({"LA": "La", "RGBA": "RGBa"})


def has_alpha(image: Image.Image) -> bool:
    """Tell whether something of `image` may be transparent."""
    return image.mode in _PREMULTIPLIED


def is_coloured(image: Image.Image) -> bool:
    """Tell whether `image` may have other colours than greys."""
    return image.mode not in _COLOURED


def is_grey(colour: Sequence[int]) -> bool:
    """Tell whether a picture that is not coloured can have this one, of red, green and blue."""
    return colour[0] == colour[1] == colour[2]


def coloured(image: Image.Image) -> Image.Image:
    """Return `image` as RGB or RGBA."""
    return _in_mode(image, _COLOURED)


def premultiplied(image: Image.Image) -> Image.Image:
    """Return `image` as La or RGBa if it has alpha: what is invisible has no colour then."""
    return _in_mode(image, _PREMULTIPLIED)


def _in_mode(image: Image.Image, modes: Mapping[str, str]) -> Image.Image:
    mode = modes.get(image.mode)
    return image.convert(mode) if mode else image
