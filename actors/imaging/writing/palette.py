"""From millions of colours to a palette of a few."""

from PIL import Image, ImageChops

# Alpha from which a pixel is opaque, where it can be only that or transparent.
OPAQUE_FROM = 128


def paletted(image: Image.Image, colours: int) -> Image.Image:
    """Return `image` (L or RGB) with a palette; the same, if it has no more colours than that."""
    if image.mode == "L" and colours == 256:
        return image.convert("P")
    image = image.convert("RGB")
    if image.getcolors(colours) is not None:
        return image.quantize(colours, Image.Quantize.MEDIANCUT)
    # The octree finds good colours fast, but gives many pixels another one than the nearest: of
    # 256 colours that costs 2 dB, of 16 colours 7. A median cut is no better, and takes 20 times as
    # long.
    palette = image.quantize(colours, Image.Quantize.FASTOCTREE)
    return image.quantize(palette=palette, dither=Image.Dither.NONE)


def paletted_in_part(
    image: Image.Image, seen: Image.Image | None, colours: int, *, reserve: bool = False
) -> tuple[Image.Image, int | None]:
    """Return `image` (L or RGB) with a palette, and which colour in it means transparent.

    Args:
      seen: 255 where `image` is, and 0 where it is transparent; None if it is so nowhere. Then
        there is no such colour, unless it is to be reserved.
    """
    # Through a mask of bits it is pasted in a third of the time.
    hidden = seen and ImageChops.invert(seen).convert("1", dither=Image.Dither.NONE)
    if not reserve and not (hidden and hidden.getbbox()):
        return paletted(image, colours), None
    if seen and seen.getbbox():
        # What is not seen must not take a colour away from what is.
        image = image.copy()
        image.paste(_a_colour(image, seen), mask=hidden)
    image = paletted(image, colours - 1)
    palette = image.getpalette() or []
    transparent = len(palette) // 3
    image.putpalette([*palette, 0, 0, 0])
    if hidden:
        image.paste(transparent, mask=hidden)
    return image, transparent


def paletted_with_alpha(image: Image.Image, colours: int) -> Image.Image:
    """Return `image` (LA or RGBA) with a palette of colours that may be translucent."""
    return image.convert("RGBA").quantize(colours, Image.Quantize.FASTOCTREE)


def _a_colour(image: Image.Image, seen: Image.Image) -> float | tuple[int, ...]:
    """Return the colour of one pixel that is seen."""
    _, top, _, _ = seen.getbbox() or (0, 0, 0, 0)
    left, _, _, _ = seen.crop((0, top, seen.width, top + 1)).getbbox() or (0, 0, 0, 0)
    return image.getpixel((left, top)) or 0
