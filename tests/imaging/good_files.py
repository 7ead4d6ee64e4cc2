"""Good files of every format."""

from PIL import Image

from tests.imaging import heics
from tests.imaging.containers import avif, coded, grid, ispe, plain_tiff, reference, sequence
from tests.imaging.heics import assembled, heic
from tests.imaging.pictures import colour_profile, exif, photograph, written

_RED, _GREEN, _BLUE = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def good_files() -> dict[str, bytes]:
    """Make small files that use what there is in each format."""
    photo = photograph(64, 64)
    clear = photo.convert("RGBA")
    clear.putalpha(photograph(64, 64, 2).convert("L"))
    indexed = photo.quantize(32)
    frames = [photograph(64, 64, seed) for seed in (3, 4)]
    marked = [Image.new("RGB", (64, 64), "teal") for _ in range(3)]
    for number, image in enumerate(marked):
        image.paste("gold", (10 * number, 5, 10 * number + 8, 40))
    said = {"exif": exif(6), "icc_profile": colour_profile(_RED, _GREEN, _BLUE)}
    stream, config = coded(photo)
    still, hvcc = heics.coded(photo)
    tiles = [(b"grid", grid(2, 1, 128, 64)), (b"av01", stream), (b"av01", stream)]

    def moving(images, kind, **options):
        rest = images[1:]
        return written(images[0], kind, save_all=True, append_images=rest, duration=50, **options)

    return {
        "jpeg": written(photo, "jpeg", **said),
        "jpeg-progressive": written(photo, "jpeg", progressive=True),
        "jpeg-of-inks": written(photo.convert("CMYK"), "jpeg"),
        "png": written(photo, "png", **said),
        "png-indexed": written(indexed, "png", transparency=3),
        "png-moving": moving(marked, "png"),
        "gif": written(indexed, "gif", transparency=3),
        "gif-moving": moving(marked, "gif", disposal=2, loop=3),
        "webp": written(photo, "webp", **said),
        "webp-lossless": written(clear, "webp", lossless=True),
        "webp-moving": moving([photo, *frames], "webp", loop=3),
        "avif": written(clear, "avif", **said),
        "avif-of-tiles": avif(
            tiles,
            [ispe(128, 64), ispe(64, 64), config],
            {1: [1], 2: [2, 3], 3: [2, 3]},
            references=reference(b"dimg", 1, 2, 3),
        ),
        "avif-moving": moving([photo, *frames], "avif"),
        "avif-of-samples": sequence([stream] * 3, config, (64, 64)),
        "heic": heic(clear, **said),
        "heic-of-tiles": heic(photograph(100, 70), tile_size=64),
        "heic-of-parts": assembled([(b"hvc1", still)], [ispe(64, 64), hvcc], {1: [1, 2]}),
        "tiff": written(photo, "tiff", compression="tiff_lzw", **said),
        "tiff-deflated": written(clear, "tiff", compression="tiff_adobe_deflate"),
        "tiff-in-strips": plain_tiff(
            40, 4, t273=(4, *(8 + 40 * row for row in range(4))), t278=(4, 1), t279=(4, *[40] * 4)
        ),
    }
