"""Colours: from whatever a file holds to what a browser shows."""

import contextlib
import io
import itertools
from functools import lru_cache, reduce

from PIL import Image, ImageChops, ImageCms

from actors.imaging.facts import MAX_PROFILE
from actors.imaging.modes import has_alpha, is_coloured, is_grey
from actors.imaging.perception import level
from actors.imaging.step import rgba

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
# What nearly every program writes, and means sRGB by it.
_GAMMA_OF_SRGB, _SAME_GAMMA = 0.45455, 0.02
# In levels. In profiles of sRGB itself the numbers are rounded in one way or another.
_UNSEEN = 1
# In bytes. What is longer has tables, mostly those of a printer.
_LONGEST_USUAL = 65_536
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
    levels = [level((entry / 255) ** (1 / gamma)) for entry in range(256)]
    unchanged = list(range(256))
    return image.point(
        [entry for band in image.getbands() for entry in (unchanged if band == "A" else levels)]
    )


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
    read = _usual_meaning if len(profile) <= _LONGEST_USUAL else _meaning
    mode, transform = read(profile)
    if (mode == "CMYK") != (image.mode == "CMYK") or (mode == "L" and is_coloured(image)):
        return image
    if transform is None:
        return image
    shown = transform.apply(image.convert(mode))
    if not is_coloured(image):
        shown = shown.convert("L")
    if has_alpha(image):
        shown.putalpha(image.getchannel("A"))
    shown.info = {}
    return shown


def _meaning(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """Return in which mode pictures are that a profile explains, and what makes sRGB of them.

    None if they are sRGB already. That is told by the effect, since there are profiles of linear
    light with sRGB in their names.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = _MODES[source.profile.xcolor_space.strip()]
    transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    sample = _sample(mode)
    change = ImageChops.difference(transform.apply(sample), sample.convert("RGB"))
    return mode, transform if max(change.tobytes()) > _UNSEEN else None


# A transform takes 3 ms to be made, and of most pictures the profile is one of a few. Threads may
# share it: to apply it changes nothing in it.
_usual_meaning = lru_cache(maxsize=32)(_meaning)


def _sample(mode: str) -> Image.Image:
    """Return colours from all over."""
    greys = Image.linear_gradient("L").convert(mode)
    steps = range(0, 256, 17)
    colours = bytes(itertools.chain.from_iterable(itertools.product(steps, repeat=3)))
    greys.paste(Image.frombytes("RGB", (64, 64), colours).convert(mode))
    return greys


def flatten(image: Image.Image, background: str = "white") -> Image.Image:
    """Return `image` without transparency, on `background`; what is seen through that is white."""
    if not has_alpha(image):
        return image
    *colour, alpha = rgba(background)
    solid = tuple((level * alpha + 255 * (255 - alpha) + 127) // 255 for level in colour)
    mode = "L" if image.mode == "LA" and is_grey(solid) else "RGB"
    ground = Image.new(mode, image.size, solid[: len(mode)])
    ground.paste(image.convert(mode), mask=image.getchannel("A"))
    return ground
