"""What a client expects of an output, and what it is told if that is not so."""

import pytest

from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.expect import Expect, check
from actors.imaging.facts import Facts
from tests.imaging.pictures import exif, photograph, written

ORIGINAL = Facts("jpeg", 640, 480)
RESULT = written(photograph(40, 30), "jpeg", exif=b"Exif\0\0" + exif(1))
PLAIN = written(photograph(40, 30), "jpeg")
REMARKED = written(photograph(40, 30), "jpeg", comment=b"Made by somebody")


def film(frames):
    images = [photograph(40, 30, seed) for seed in range(frames)]
    return written(images[0], "webp", save_all=True, append_images=images[1:])


@pytest.mark.parametrize(
    ("expect", "data", "ssim"),
    [
        (Expect(), RESULT, None),
        (Expect(max_bytes=len(RESULT)), RESULT, None),
        (Expect(min_ssim=0.9), RESULT, 0.9),
        (Expect(frames="same"), RESULT, None),
        (Expect(metadata="none"), PLAIN, None),
        (Expect(size=(40, 30)), RESULT, None),
        (Expect(max_bytes=10**6, min_ssim=0.5, frames="same", size=(40, 30)), RESULT, 1.0),
    ],
)
def test_what_is_met_passes(expect, data, ssim):
    check(expect, ORIGINAL, data, ssim)


@pytest.mark.parametrize(
    ("expect", "data", "ssim", "why"),
    [
        (
            Expect(max_bytes=len(PLAIN) - 1),
            PLAIN,
            None,
            f"it has {len(PLAIN):,} bytes, and not at most {len(PLAIN) - 1:,}",
        ),
        (Expect(min_ssim=0.9), PLAIN, 0.89996, "its SSIM is 0.9000, and not at least 0.9"),
        (Expect(frames="same"), film(3), None, "it has 3 frames, and the original 1"),
        (Expect(metadata="none"), RESULT, None, "it has metadata"),
        (Expect(metadata="none"), REMARKED, None, "it has metadata"),
        (Expect(size=(30, 40)), PLAIN, None, "it has 40 x 30 pixels, and not 30 x 40"),
        (
            Expect(metadata="none", size=(1, 1)),
            RESULT,
            None,
            "it has metadata; it has 40 x 30 pixels, and not 1 x 1",
        ),
    ],
)
def test_what_is_not_met_is_told_with_what_was_measured(expect, data, ssim, why):
    with pytest.raises(ImpossibleRecipe) as caught:
        check(expect, ORIGINAL, data, ssim)

    assert str(caught.value) == f"it is not as expected: {why}"


@pytest.mark.parametrize("kind", ["png", "webp", "gif", "avif", "tiff"])
def test_a_file_of_any_format_is_read(kind):
    data = written(photograph(40, 30), kind)

    check(Expect(size=(40, 30), metadata="none"), ORIGINAL, data, None)


def test_what_is_written_may_be_larger_than_what_strangers_may_send():
    data = written(photograph(10, 10).resize((20_000, 10)), "png")

    check(Expect(size=(20_000, 10)), ORIGINAL, data, None)
