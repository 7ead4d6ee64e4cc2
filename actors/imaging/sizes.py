"""Whether a picture is small enough to be touched."""

from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.facts import Limits, Size


def check_size(size: Size, limits: Limits) -> None:
    """Check that a picture of this size may be decoded.

    Raises:
      NotAnImage: if it has no area.
      ImageTooLarge: if it has more than `limits` allow.
    """
    width, height = size
    if not width or not height:
        raise NotAnImage(f"The image has no area: it is {width} x {height} pixels.")
    measured = f"The image is {width:,} x {height:,} pixels"
    if max(width, height) > limits.max_edge:
        raise ImageTooLarge(f"{measured}; an edge of at most {limits.max_edge:,} is allowed.")
    if width * height > limits.max_pixels:
        raise ImageTooLarge(f"{measured}; at most {limits.max_pixels:,} in all are allowed.")


def check_frames(size: Size, frames: int, limits: Limits) -> None:
    """Check that so many pictures of this size may be decoded.

    Raises:
      NotAnImage: if they have no area.
      ImageTooLarge: if there are more, or larger ones, than `limits` allow.
    """
    check_size(size, limits)
    width, height = size
    if frames > limits.max_frames:
        raise ImageTooLarge(
            f"The image has {frames:,} frames; at most {limits.max_frames:,} are allowed."
        )
    if width * height * frames > limits.max_total_pixels:
        raise ImageTooLarge(
            f"The image is {width:,} x {height:,} pixels in {frames:,} frames; "
            f"at most {limits.max_total_pixels:,} in all frames are allowed."
        )
