"""What can be wrong with an image, or with what is asked of it.

The text of each error is a sentence for the client: what was measured, and what is allowed.
"""

from typing import ClassVar


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
    """The recipe is sound, but not for this image."""

    code = "impossible_recipe"


class NoRoom(ImageError):
    """The system had no room for the file that was being made."""

    code = "out_of_space"


class RenderStopped(Exception):
    """The caller asked to stop. Nothing was made, and the image is not at fault."""
