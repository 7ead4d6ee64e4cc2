"""What each operation does: for each struct in `recipe.py`, one function here."""

from functools import singledispatch

from PIL import Image

from actors.imaging.facts import Size
from actors.imaging.geometry import fit_inside, scale
from actors.imaging.recipe import Operation, Resize, Thumbnail

# What scales can be done while decoding, if it comes first.
SCALING = (Resize, Thumbnail)


def size_after(operation: Operation, size: Size) -> Size:
    """Return the size of what `operation` makes of a picture of `size`."""
    box = (operation.width, operation.height)
    match operation:
        case Resize():
            return box
        case Thumbnail(enlarge=enlarge):
            return fit_inside(size, box, enlarge=enlarge)


@singledispatch
def perform(operation: Operation, image: Image.Image) -> Image.Image:
    """Return what `operation` makes of `image`, which stays as it is."""
    raise NotImplementedError(f"no function performs {type(operation).__name__}")


@perform.register(Resize)
@perform.register(Thumbnail)
def _scale(operation: Resize | Thumbnail, image: Image.Image) -> Image.Image:
    return scale(image, size_after(operation, image.size))
