"""What can be wrong with an image, or with what is asked of it.

The text of each error is a sentence for the client: what was measured, and what is allowed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, NamedTuple


class ImageError(Exception):
    """There is no picture to give. `code` names the reason and never changes."""

    code: ClassVar[str]


class NotAnImage(ImageError):
    """The bytes are no image, or a broken one."""

    code = "not_an_image"


class UnsupportedFormat(ImageError):
    """The bytes are an image of a kind that is not read or not written here."""

    code = "unsupported_format"


class ImageTooLarge(ImageError):
    """The image has more pixels, frames or parts than the limits allow."""

    code = "image_too_large"


class ImpossibleRecipe(ImageError):
    """The recipe is sound, but not for this image.

    `step` is which operation of its output does not fit, counted from 0; None if it is none alone.
    """

    code = "impossible_recipe"

    def __init__(self, why: str, step: int | None = None) -> None:
        super().__init__(why)
        self.step = step


class Misfit(NamedTuple):
    """Why an output does not fit, and which `step` of it; both are counted from 0."""

    output: int
    step: int | None
    why: str


class Misfits(ImpossibleRecipe):
    """The recipe is sound, but not for this image: all that is known of why."""

    def __init__(self, *misfits: Misfit) -> None:
        super().__init__(" ".join(misfit.why for misfit in misfits))
        self.misfits = misfits
        # What makes another of the same.
        self.args = misfits

    def __str__(self) -> str:
        return " ".join(misfit.why for misfit in self.misfits)


class TimedOut(ImageError):
    """The render took longer than is allowed, and was ended."""

    code = "timed_out"


class NoRoom(ImageError):
    """The system had no room for the file that was being made."""

    code = "out_of_space"


class ImagingCrashed(ImageError):
    """There is a bug here or in Pillow, which this image or recipe has met; the cause tells it."""

    code = "crashed"


class RenderStopped(Exception):
    """The caller asked to stop. Nothing was made, and the image is not at fault."""


@contextmanager
def contained() -> Iterator[None]:
    """Have whatever goes wrong inside concern the image in hand, and nothing else.

    Raises:
      ImageError, RenderStopped: as they were raised inside.
      ImagingCrashed: from any other error.
    """
    try:
        yield
    except (ImageError, RenderStopped):
        raise
    except Exception as error:
        raise ImagingCrashed("Something went wrong here. It was logged.") from error
