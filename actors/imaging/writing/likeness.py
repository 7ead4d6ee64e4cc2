"""How much of what was to be written a file shows."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from actors.imaging.decode import frames
from actors.imaging.facts import NO_LIMITS
from actors.imaging.inspect import inspect
from actors.imaging.ssim import ssim
from actors.imaging.writing.film import Film, Timing


def likeness(film: Film, timing: Timing | None, data: bytes) -> float:
    """Return the SSIM of the frames in `data` and those of the film: that of the worst of them."""
    facts = inspect(data, NO_LIMITS)
    shown = frames(data, facts)
    if timing is None or facts.frames == len(film):
        return min(ssim(frame, image) for frame, (image, _) in zip(film, shown, strict=True))
    if not any(timing.durations):
        return min(_one_after_the_other(film, (image for image, _ in shown)))
    return min(ssim(frame, image) for frame, image in _at_the_same_time(film, timing, shown))


def _one_after_the_other(film: Film, shown: Iterator[Image.Image]) -> Iterator[float]:
    """Yield the SSIM of frames that no time tells apart, of which equal ones may have become one.

    Each is taken for the one that is shown, or for the following one, whichever it is more like.
    """
    image, following = next(shown), next(shown, None)
    for frame in film:
        like = ssim(frame, image)
        if following is not None and (more := ssim(frame, following)) > like:
            like, image, following = more, following, next(shown, None)
        yield like


def _at_the_same_time(
    film: Film, timing: Timing, shown: Iterator[tuple[Image.Image, int]]
) -> Iterator[tuple[Image.Image, Image.Image]]:
    """Pair frames, of which equal ones may have become one, as they are seen."""
    image, end = next(shown)
    start = 0
    for frame, duration in zip(film, timing.durations, strict=True):
        while start >= end and (following := next(shown, None)) is not None:
            image, end = following[0], end + following[1]
        if duration:
            yield frame, image
        start += duration
