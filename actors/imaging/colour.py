"""Colours: from whatever a file holds to what a browser shows."""

import contextlib
import io
from functools import reduce

from PIL import Image, ImageChops, ImageCms

from actors.imaging.facts import MAX_PROFILE
from actors.imaging.step import rgba

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
# What nearly every program writes, and means sRGB by it.
_GAMMA_OF_SRGB, _SAME_GAMMA = 0.45455, 0.02
_PLAIN = frozenset({"L", "LA", "RGB", "RGBA", "CMYK"})


def plain(image: Image.Image, depth: int) -> Image.Image:
    """Return `image` as L, LA, RGB, RGBA or CMYK, without palette or metadata.

    Args:
      depth: how many bits a sample has in the file; a transparent colour is given in these. For
        one of 16 in RGB see `cut_out`.
    """
    transparent = image.info.get("transparency")
    mode = image.mode
    if mode in {"P", "PA"}:
        clean = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif mode == "I;16":
        clean = _from_16_bits(image)
    elif mode == "F":
        # From 0 to 1; what is more or less is cut off.
        clean = image.point(lambda level: level * 255 + 0.5).convert("L")
    elif transparent is not None and mode in {"1", "L", "RGB"}:
        image.info["transparency"] = _in_8_bits(transparent, depth)
        clean = image.convert("RGBA" if mode == "RGB" else "LA")
    elif mode in _PLAIN:
        clean = image
    else:
        clean = image.convert({"1": "L", "La": "LA", "RGBa": "RGBA"}.get(mode, "RGB"))
    clean.info = {}
    return clean


def cut_out(image: Image.Image, rest: Image.Image) -> Image.Image:
    """Return `image` as LA or RGBA, of which nothing but one colour is transparent.

    Args:
      image: the higher halves of samples of 16 bits, and in its metadata that colour.
      rest: the lower halves.
    """
    transparent = image.info["transparency"]
    colour = transparent if isinstance(transparent, tuple) else (transparent,)
    halves = [sample >> 8 for sample in colour] + [sample & 255 for sample in colour]
    bands = *image.split(), *rest.split()
    clean = Image.merge(
        f"{image.mode}A",
        (*bands[: len(colour)], reduce(ImageChops.lighter, map(_all_but, bands, halves))),
    )
    clean.info = {}
    return clean


def _from_16_bits(image: Image.Image) -> Image.Image:
    samples = image.tobytes()
    levels = Image.frombytes("L", image.size, samples, "raw", "L;16")
    if "transparency" not in image.info:
        return levels
    levels.info = image.info
    return cut_out(levels, Image.frombytes("L", image.size, samples, "raw", "L;16B"))


def _all_but(levels: Image.Image, level: int) -> Image.Image:
    return levels.point([0 if other == level else 255 for other in range(256)])


def _in_8_bits(colour: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    if isinstance(colour, tuple):
        return tuple(sample & 255 for sample in colour)
    # Pillow has stretched 2 and 4 bits to 8 in the picture, but not in the transparent colour.
    return colour % (1 << depth) * (255 // ((1 << depth) - 1)) if depth in {2, 4} else colour & 255


def with_gamma(image: Image.Image, gamma: float | None) -> Image.Image:
    """Return `image`, whose levels are the `gamma`-th power of the light, in sRGB's levels.

    Without a gamma they are sRGB's already.
    """
    if gamma is None or abs(gamma - _GAMMA_OF_SRGB) < _SAME_GAMMA:
        return image
    levels = [_srgb_level((level / 255) ** (1 / gamma)) for level in range(256)]
    unchanged = list(range(256))
    return image.point(
        [entry for band in image.getbands() for entry in (unchanged if band == "A" else levels)]
    )


def _srgb_level(light: float) -> int:
    share = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return round(255 * share)


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return `image`, whose colours `profile` explains, in sRGB.

    Without a profile, or with a broken one, the numbers are taken for what they usually mean.
    """
    if profile and len(profile) <= MAX_PROFILE:
        # A broken profile is no reason to withhold the picture.
        with contextlib.suppress(Exception):
            image = _converted(image, profile)
    return image.convert("RGB") if image.mode == "CMYK" else image


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if "srgb" in (source.profile.profile_description or "").lower():
        return image
    mode = _MODES[source.profile.xcolor_space.strip()]
    is_grey = image.mode in {"L", "LA"}
    if (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and not is_grey):
        return image
    colours = image.convert(mode)
    srgb = ImageCms.createProfile("sRGB")
    shown = ImageCms.buildTransform(source, srgb, mode, "RGB").apply(colours)
    if is_grey:
        shown = shown.convert("L")
    if image.mode in {"LA", "RGBA"}:
        shown.putalpha(image.getchannel("A"))
    shown.info = {}
    return shown


def flatten(image: Image.Image, background: str = "white") -> Image.Image:
    """Return `image` without transparency, on `background`; what is seen through that is white."""
    if image.mode not in {"LA", "RGBA"}:
        return image
    *colour, alpha = rgba(background)
    solid = tuple((level * alpha + 255 * (255 - alpha) + 127) // 255 for level in colour)
    mode = "L" if image.mode == "LA" and len(set(solid)) == 1 else "RGB"
    ground = Image.new(mode, image.size, solid[: len(mode)])
    ground.paste(image.convert(mode), mask=image.getchannel("A"))
    return ground
