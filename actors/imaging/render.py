"""Make of an image what a recipe says."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from actors.imaging.colour import to_srgb
from actors.imaging.decode import decode
from actors.imaging.encode import encode
from actors.imaging.errors import ImageTooLarge, ImpossibleRecipe, RenderStopped
from actors.imaging.facts import DEFAULT_LIMITS, Facts, Format, Limits, Size, as_turned
from actors.imaging.geometry import scale, upright
from actors.imaging.inspect import inspect
from actors.imaging.operations import SCALING, perform, size_after
from actors.imaging.recipe import Operation, Recipe


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished picture: the bytes of a file, and what they are."""

    data: bytes
    format: Format
    width: int
    height: int


def keep_memory(renders: int) -> None:
    """Have Pillow keep memory for so many renders at once, two blocks of 16 MiB for each.

    Without it each picture is mapped, cleared and unmapped by the system anew, and threads stand
    in each other's way there. It holds for the whole process.
    """
    # What PILLOW_BLOCKS_MAX sets when Pillow is imported ("Block allocator" in its documentation).
    Image.core.set_blocks_max(2 * renders)  # type: ignore[attr-defined]  # not re-exported


def never() -> bool:
    """Return False: there is nobody who could ask a render to stop."""
    return False


def render(
    original: bytes,
    recipe: Recipe,
    limits: Limits = DEFAULT_LIMITS,
    stopped: Callable[[], bool] = never,
) -> Rendered:
    """Return `original` as `recipe` wants it: upright, in sRGB and without metadata.

    Of an animation, the first frame is taken.
    The same arguments give the same bytes, with the same versions of the codecs.

    Args:
      stopped: asked between the steps; when it returns True, the work is given up.

    Raises:
      NotAnImage: if the bytes cannot be decoded.
      UnsupportedFormat: if they are an image that is not read here.
      ImageTooLarge: if the image exceeds `limits`, or the memory.
      ImpossibleRecipe: if a step does not fit the image.
      RenderStopped: if `stopped` said so.
    """
    facts = inspect(original, limits)
    kind = recipe.output.format or facts.format
    try:
        image = _perform_all(original, facts, recipe.operations, limits, stopped)
        _go_on(stopped)
        data = encode(image, kind, recipe.output.quality)
    except MemoryError as error:
        raise ImageTooLarge("The image needs more memory than there is.") from error
    return Rendered(data, kind, image.width, image.height)


def _perform_all(
    original: bytes,
    facts: Facts,
    operations: tuple[Operation, ...],
    limits: Limits,
    stopped: Callable[[], bool],
) -> Image.Image:
    image, rest = _start(original, facts, operations, limits, stopped)
    for operation in rest:
        _go_on(stopped)
        _check(size_after(operation, image.size), limits)
        image = perform(operation, image)
    return image


def _start(
    original: bytes,
    facts: Facts,
    operations: tuple[Operation, ...],
    limits: Limits,
    stopped: Callable[[], bool],
) -> tuple[Image.Image, tuple[Operation, ...]]:
    """Return the picture, upright and in sRGB, and the operations that are still to be performed.

    Where scaling comes first it is done at once: before turning and before converting colours,
    both of which cost less when the picture is small.
    """
    wanted: Size | None = None
    if operations and isinstance(operations[0], SCALING):
        size = size_after(operations[0], facts.size_as_shown)
        _check(size, limits)
        wanted, operations = as_turned(size, facts.orientation), operations[1:]
    _go_on(stopped)
    decoded = decode(original, facts, wanted)
    _go_on(stopped)
    image = decoded.image
    if wanted is not None:
        image = scale(image, wanted, decoded.box)
    return to_srgb(upright(image, facts.orientation), decoded.profile), operations


def _go_on(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise RenderStopped


def _check(size: Size, limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImpossibleRecipe(
            f"The picture would be {width:,} x {height:,} pixels; "
            f"at most {limits.max_pixels:,} in all are allowed."
        )
