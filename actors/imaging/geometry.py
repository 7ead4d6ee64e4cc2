"""Sizes, and the two ways to change the one of a picture: scaling and turning."""

from PIL import Image

from actors.imaging.facts import Size

Box = tuple[float, float, float, float]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}

# A picture far larger than its target is averaged down to this multiple of it, then resampled; but
# by no more than this, beyond which Pillow's sums lose whole levels and in the end overflow.
_REDUCING_GAP = 2.0
_MOST_AVERAGED = 128


def fit_inside(size: Size, box: Size, *, enlarge: bool) -> Size:
    """Return the largest size that fits into `box` with the proportions of `size`.

    No edge is less than 1 pixel. Unless it may `enlarge`, what fits already stays as it is.
    """
    (width, height), (across, down) = size, box
    if not enlarge and width <= across and height <= down:
        return size
    if width * down >= height * across:
        return across, max(1, (2 * height * across + width) // (2 * width))
    return max(1, (2 * width * down + height) // (2 * height)), down


def scale(image: Image.Image, size: Size, box: Box | None = None) -> Image.Image:
    """Return the part of `image` in `box`, by default all of it, at exactly `size`."""
    whole = (0.0, 0.0, float(image.width), float(image.height))
    if image.size == size and box in (None, whole):
        return image
    mode = image.mode
    # What is transparent has a colour too. Premultiplied, it cannot bleed into its neighbours.
    # (Pillow would see to that by itself, but then ignores the gap.)
    image = image.convert(_PREMULTIPLIED.get(mode, mode))
    left, top, right, bottom = box or whole
    factor = max((right - left) / size[0], (bottom - top) / size[1])
    gap = max(_REDUCING_GAP, factor / _MOST_AVERAGED)
    scaled = image.resize(size, Image.Resampling.LANCZOS, box, gap)
    return scaled.convert(mode)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return `image` turned as the EXIF `orientation` says."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
