"""The other images of a recipe: under which limits they are read, and how often decoded."""

import numpy as np
import pytest
from PIL import Image

import actors.imaging.album
from actors.imaging.album import Album
from actors.imaging.decode import decode
from actors.imaging.errors import ImageTooLarge, ImpossibleRecipe, UnsupportedFormat
from actors.imaging.facts import DEFAULT_LIMITS, NO_LIMITS, Limits
from actors.imaging.operations.scaling import Resize
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import Output, Recipe
from actors.imaging.render import render
from tests.imaging.pictures import BLUE, GREEN, RED, WHITE, exif, pixels, quarters, written
from tests.imaging.rendering import made

LOGO = written(Image.new("RGB", (60, 40), RED), "png")
GROUND = written(Image.new("RGB", (200, 100), WHITE), "png")


@pytest.fixture
def decoded(monkeypatch):
    """What was decoded, in its order."""

    def count(data, *arguments):
        files.append(data)
        return decode(data, *arguments)

    files: list[bytes] = []
    monkeypatch.setattr(actors.imaging.album, "decode", count)
    return files


def test_a_picture_is_upright_and_of_the_size_that_is_wanted():
    turned = written(quarters(20, 10), "png", exif=b"Exif\0\0" + exif(6))
    album = Album({"a": turned}, DEFAULT_LIMITS)

    assert album.size("a") == (10, 20)
    shown = np.asarray(album.picture("a", (4, 8)))
    assert shown.shape[:2] == (8, 4)
    assert [tuple(shown[y, x]) for x, y in ((0, 0), (3, 0), (0, 7), (3, 7))] == [
        *(BLUE, RED, WHITE, GREEN)
    ]


def test_a_size_is_decoded_once(decoded):
    album = Album({"a": LOGO, "b": GROUND}, DEFAULT_LIMITS)

    for _ in range(3):
        for name in ("a", "b"):
            for size in ((6, 4), (30, 20)):
                assert album.picture(name, size).size == size

    assert decoded == [LOGO, LOGO, GROUND, GROUND]


def test_all_marks_of_all_outputs_are_decoded_once(decoded):
    outputs = tuple(
        Output(name=f"o{number}", operations=4 * (Watermark(image="a", opacity=0.5),))
        for number in range(4)
    )

    results = render(GROUND, Recipe(outputs), others={"a": LOGO})

    assert len(decoded) == 1
    assert len({result.data for result in results}) == 1
    # That one mark faded is not seen in the next one.
    assert np.abs(pixels(results[0].data)[50, 100, :3] - (255, 16, 16)).max() <= 2


def test_what_is_kept_is_bounded(decoded):
    album = Album({"a": LOGO}, DEFAULT_LIMITS)
    sizes = [(1000, 1000 + number) for number in range(10)]

    for size in sizes:
        album.picture("a", size)
    album.picture("a", sizes[-1])
    held = sum(picture.width * picture.height for picture in album._kept.values())
    album.picture("a", sizes[0])

    assert 0 < held <= 4_000_000
    assert len(decoded) == 11


def test_what_is_too_large_to_be_kept_pushes_nothing_out(decoded):
    album = Album({"a": LOGO}, DEFAULT_LIMITS)

    for size in ((60, 40), (3000, 2000), (60, 40)):
        album.picture("a", size)

    assert len(decoded) == 2


def test_it_is_read_under_the_limits_of_the_operator():
    small, wide = Limits(max_pixels=2_399), Limits(formats=NO_LIMITS.formats)

    with pytest.raises(ImageTooLarge):
        Album({"a": LOGO}, small).size("a")
    with pytest.raises(UnsupportedFormat):
        Album({"a": written(Image.new("L", (9, 9)), "tiff")}, DEFAULT_LIMITS).size("a")
    assert Album({"a": written(Image.new("L", (9, 9)), "tiff")}, wide).size("a") == (9, 9)


def test_a_mark_is_read_under_the_limits_of_the_render():
    step = Resize(40, 30), Watermark(image="a")
    tiny = written(Image.new("RGB", (30, 30)), "png")

    with pytest.raises(ImpossibleRecipe, match=r"^Step 2 \(watermark\): .* cannot be read\.$"):
        made(tiny, *step, limits=Limits(max_pixels=2_399), others={"a": LOGO})
    assert made(tiny, *step, limits=Limits(max_pixels=2_400), others={"a": LOGO}).width == 40
