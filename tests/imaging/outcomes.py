"""What can become of a file."""

from typing import Literal

Outcome = Literal["picture", "not_an_image", "unsupported_format", "image_too_large"]
Files = dict[str, tuple[bytes, Outcome]]

PICTURE: Outcome = "picture"
BROKEN: Outcome = "not_an_image"
UNSUPPORTED: Outcome = "unsupported_format"
TOO_LARGE: Outcome = "image_too_large"
