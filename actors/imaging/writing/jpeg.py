"""Writing JPEG."""

from PIL.JpegImagePlugin import JpegImageFile

from actors.imaging.writing.draft import USUAL_EFFORT, Draft
from actors.imaging.writing.memory import written


def write_jpeg(draft: Draft, quality: int) -> bytes:
    """Return the first frame, which has no alpha, as a JPEG.

    With more than the usual effort its tables of codes are made for it: some 3 % less for half as
    much time again. Noise that takes more than a byte for a pixel is not written progressively.
    """
    encoding = draft.encoding
    progressive = encoding.progressive
    try:
        return _written(
            draft,
            quality,
            progressive=progressive,
            optimize=progressive or draft.effort > USUAL_EFFORT,
        )
    except OSError as error:
        # Both need a buffer for the whole file. Pillow guesses how large, and says no more than
        # that the picture cannot be written when it has guessed wrong.
        if error.errno is not None:
            raise
        return _written(draft, quality, progressive=False, optimize=False)


def _written(draft: Draft, quality: int, *, progressive: bool, optimize: bool) -> bytes:
    image, dpi = draft.film.frame(0), draft.encoding.dpi or 0
    return written(
        lambda file: image.save(
            file,
            JpegImageFile.format,
            quality=quality,
            progressive=progressive,
            optimize=optimize,
            subsampling=draft.encoding.subsampling or "4:2:0",
            dpi=(dpi, dpi),
            icc_profile=draft.icc,
            exif=b"Exif\0\0" + draft.exif if draft.exif else b"",
        )
    )
