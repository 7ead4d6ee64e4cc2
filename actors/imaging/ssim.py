"""How like each other two pictures look.

Structural similarity (Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error
visibility to structural similarity", 2004), of the luminance, at full size, with the constants of
that paper. Its windows are 8 x 8 pixels large here, one for every fourth pixel across and down, and
their weights fall off linearly from the middle. That is nearly the Gaussian of the paper, whose
standard deviation is 1.5 pixels, at a sixteenth of its cost: on photographs and drawings between
JPEG and WebP of any quality the result was at most 0.01 away from it, and 0.0004 on average.

In luminance red letters on a blue-green of the same lightness are not there. So a window is at most
as like as its colours, which are V / (V + D / 50). D is the mean square of what the colours differ
by: R - Y or B - Y, whichever differs more, averaged over 2 x 2 pixels. V is what hides it: the sum
of the variances of luminance in both pictures, and the second constant of the paper. A difference
of colour is seen where nothing else happens, and hardly in texture, in grain or beside an edge; so
the result for photographs, with and without grain, was at most 0.002 less than that of luminance
alone, in JPEG with colours at half the size, WebP and AVIF of the qualities from 60 on.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageChops, ImageMath

from actors.imaging.facts import Size
from actors.imaging.modes import has_alpha, is_coloured

_STEP = 4
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# How much the square of half a difference of colours counts beside one of luminance.
_COLOUR = 4 / 50
_LEVELS = [float(level) for level in range(256)]
_SQUARES = [float(level**2) for level in range(256)]
_BLACK, _WHITE, _NO_COLOUR = 0, 255, 128


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Return 1 if the two look the same, less the less they do, and seldom less than 0.

    What is transparent is compared on black and on white; the worse result counts.

    Args:
      one: in one of the modes L, LA, RGB and RGBA.
      other: of the same size, in any of these modes.
    """
    grounds = (_BLACK, _WHITE) if has_alpha(one) or has_alpha(other) else (_BLACK,)
    recoloured = _recoloured(one, other)
    return min(
        _ssim(_luminance(one, ground), _luminance(other, ground), recoloured) for ground in grounds
    )


def _luminance(image: Image.Image, ground: int) -> Image.Image:
    return _on(ground, image.convert("L"), image)


def _recoloured(one: Image.Image, other: Image.Image) -> Image.Image:
    """Return by how much the colours differ in each window, squared."""
    if not (is_coloured(one) or is_coloured(other)):
        return Image.new("F", _windows(one.size))
    blue, red = map(ImageChops.difference, _chroma(one), _chroma(other))
    larger = ImageChops.lighter(blue, red).reduce(min(2, *one.size))
    return _means(larger, _SQUARES, _windows(one.size))


def _chroma(image: Image.Image) -> Iterator[Image.Image]:
    """Yield half of what red and blue are above the luminance, as levels around the middle one."""
    colours = image if image.mode in {"RGB", "RGBA"} else image.convert("RGB")
    below = ImageChops.invert(image.convert("L"))
    for band in ("R", "B"):
        yield _on(_NO_COLOUR, Image.blend(colours.getchannel(band), below, 0.5), image)


def _on(ground: int, plane: Image.Image, image: Image.Image) -> Image.Image:
    """Return a plane of `image` as it is seen on a ground of this level."""
    if not has_alpha(image):
        return plane
    canvas = Image.new("L", image.size, ground)
    canvas.paste(plane, mask=image.getchannel("A"))
    return canvas


def _ssim(one: Image.Image, other: Image.Image, recoloured: Image.Image) -> float:
    size = _windows(one.size)
    windows: Image.Image = ImageMath.lambda_eval(
        lambda means: means["min"](
            *_similarities(*(means[name] for name in ("x", "y", "xx", "yy", "dd", "cc")))
        ),
        x=_means(one, _LEVELS, size),
        y=_means(other, _LEVELS, size),
        xx=_means(one, _SQUARES, size),
        yy=_means(other, _SQUARES, size),
        dd=_means(ImageChops.difference(one, other), _SQUARES, size),
        cc=recoloured,
    )
    mean = windows.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    return min(1.0, mean) if isinstance(mean, float) else 1.0


def _windows(size: Size) -> Size:
    return max(1, round(size[0] / _STEP)), max(1, round(size[1] / _STEP))


def _means(image: Image.Image, values: list[float], windows: Size) -> Image.Image:
    """Return the mean in each window, of the values that stand for the 256 levels."""
    return image.point(values, "F").resize(windows, Image.Resampling.BILINEAR)


def _similarities(
    x: float, y: float, xx: float, yy: float, dd: float, cc: float
) -> tuple[float, float]:
    """Return the similarity of luminance and of colours in a window, from its means.

    They are those of levels, squares, squared differences, and squared differences of colour.
    The covariance follows from these. Products of two pictures, which it is usually made of, are
    what Pillow has no operation for that would let other threads run.
    """
    product, squares = 2 * x * y, x * x + y * y
    covariance, activity = xx + yy - dd - product, xx + yy - squares + _C2
    luminance = (product + _C1) * (covariance + _C2) / ((squares + _C1) * activity)
    return luminance, activity / (activity + _COLOUR * cc)
