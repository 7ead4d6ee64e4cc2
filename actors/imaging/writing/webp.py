"""Writing WebP."""

from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from actors.imaging.writing.draft import Draft
from actors.imaging.writing.film import Reel
from actors.imaging.writing.memory import written

# The encoder's method for each effort. Without loss, those above the 4th can take 5 times as long,
# for 3 %.
_METHODS = (0, 1, 2, 3, 4, 4, 5, 5, 6)
_MOST_WITHOUT_LOSS = 4
_MOST_LOOPS = 2**16 - 1

_EXTENDED, _FLAGS, _HAS_ALPHA = slice(12, 16), 20, 0x10


def write_webp(draft: Draft, quality: int) -> bytes:
    """Return the film as a WebP, animated if it moves."""
    method = _METHODS[draft.effort - 1]
    options: dict[str, object] = {"icc_profile": draft.icc, "exif": draft.exif or b""}
    if draft.encoding.lossless:
        # Without loss, this too is an effort. 100 would take 20 times as long as the 80 of the 9th.
        quality, method = 10 * (draft.effort - 1), min(method, _MOST_WITHOUT_LOSS)
        options["lossless"] = True
    options |= {"quality": quality, "method": method}
    if draft.timing is None:
        return _written(draft.film.colours(), options)
    timing = {
        "save_all": True,
        "duration": draft.timing.durations,
        "loop": min(draft.timing.loops, _MOST_LOOPS),
    }
    reel = Reel(draft.film.colours, len(draft.film))
    data = _written(reel, {**options, **timing})
    return _with_alpha(data) if reel.mode == "RGBA" else data


def _with_alpha(data: bytes) -> bytes:
    """Return an animation that says that it has alpha.

    libwebp does not say so if all that is transparent in it is what no frame covers; it is black
    to decoders, then.
    """
    if data[_EXTENDED] != b"VP8X":
        return data
    flags = data[_FLAGS] | _HAS_ALPHA
    return data[:_FLAGS] + bytes((flags,)) + data[_FLAGS + 1 :]


def _written(image: Image.Image, options: dict[str, object]) -> bytes:
    return written(lambda file: image.save(file, WebPImageFile.format, **options))
