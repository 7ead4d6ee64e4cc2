"""Crops and scaling that are done at once, while decoding: that nobody can tell."""

import io
import math
from collections.abc import Callable
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from PIL import Image

from actors.imaging.album import EMPTY
from actors.imaging.course import Course
from actors.imaging.decode import Decoded, draft_of
from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.facts import DEFAULT_LIMITS, Facts, Limits
from actors.imaging.geometry import confined
from actors.imaging.operations.cropping import Crop
from actors.imaging.operations.scaling import Resize
from actors.imaging.outlook import wanted
from actors.imaging.recipe import Operation, Output
from actors.imaging.render import _Work, never
from actors.imaging.step import Direction, FocalPoint
from tests.imaging.operations.trials import noise
from tests.imaging.pictures import GREEN, RED, exif, pixels, written
from tests.imaging.rendering import made

# How a picture is stored that its EXIF turns upright, as NumPy says it.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.swapaxes(0, 1),
    6: np.rot90,
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def ramps(width, height, *, steepness=1.0):
    """A picture whose red tells how far to the right a place is, and whose green how far down."""
    red, green = np.meshgrid(np.arange(width) * steepness, np.arange(height) * steepness)
    return np.stack([red, green, np.full_like(red, 90)], axis=-1).round().astype(np.uint8)


def places(data, *, steepness=1.0):
    """Of a picture of ramps, which places of the original its columns and its rows show."""
    shown = pixels(data, "RGB") / steepness
    return shown[..., 0].mean(axis=0), shown[..., 1].mean(axis=1)


def expected(start, length, count):
    """Which places are shown by `count` pixels that share `length` evenly."""
    return start + (np.arange(count) + 0.5) * length / count - 0.5


def parts(length):
    """Where a part of `length` may start, and how long it may be."""
    return st.integers(8, length).flatmap(
        lambda size: st.tuples(st.integers(0, length - size), st.just(size))
    )


@st.composite
def crops_around_one_scaling(draw, size):
    """Operations, and for each axis the part of the original that they show."""
    shown = [(0.0, 1.0, length) for length in size]  # start, pixels of the original to one, length
    operations: list[Operation] = []
    for kind in ("crop", "crop", "resize", "crop"):
        if not draw(st.booleans()):
            continue
        if kind == "crop":
            cut = [draw(parts(length)) for _, _, length in shown]
            operations.append(Crop(cut[0][0], cut[1][0], cut[0][1], cut[1][1]))
            shown = [
                (at + start * step, step, length)
                for (at, step, _), (start, length) in zip(shown, cut, strict=True)
            ]
        else:
            wanted = [draw(st.integers(8, 300)) for _ in shown]
            operations.append(Resize(*wanted))
            shown = [
                (at, step * length / new, new)
                for (at, step, length), new in zip(shown, wanted, strict=True)
            ]
    return operations, shown


@settings(max_examples=60)
@given(crops_around_one_scaling((250, 190)), st.sampled_from(sorted(STORED)))
def test_whatever_is_cropped_and_scaled_every_pixel_is_where_it_belongs(drawn, orientation):
    operations, shown = drawn
    stored = np.ascontiguousarray(STORED[orientation](ramps(250, 190)))
    original = written(Image.fromarray(stored), "png", exif=b"Exif\0\0" + exif(orientation))

    result = made(original, *operations)

    assert (result.width, result.height) == tuple(length for *_, length in shown)
    for found, (start, step, length) in zip(places(result.data), shown, strict=True):
        off = np.abs(found - expected(start, step * length, length))
        # A ramp ends at the edge of the picture, and what is resampled there is not quite even.
        edge = math.ceil(3 / min(step, 1))
        assert off.max() <= 0.6 * max(step, 1) + 0.5
        assert off[edge:-edge].max(initial=0) <= 1 + 1e-9


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
def test_a_part_is_where_a_viewer_sees_it_however_the_picture_is_stored(kind, orientation):
    stored = np.ascontiguousarray(STORED[orientation](ramps(960, 720, steepness=0.25)))
    original = written(Image.fromarray(stored), kind, exif=b"Exif\0\0" + exif(orientation))

    part = Crop(200, 80, 500, 400), Resize(50, 40), Crop(5, 10, 40, 20)
    across, down = places(made(original, *part, format="png").data, steepness=0.25)

    # A level of red or green is four pixels.
    assert np.abs(across - expected(250, 400, 40)).max() < 12
    assert np.abs(down - expected(180, 200, 20)).max() < 12
    assert abs((across - expected(250, 400, 40)).mean()) < 4
    assert abs((down - expected(180, 200, 20)).mean()) < 4


@pytest.mark.parametrize("size", [(100, 100), (50, 50), (40, 100), (12, 9), (150, 130)])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("orientation", STORED)
def test_what_was_cropped_away_does_not_bleed_into_what_is_left(kind, orientation, size):
    upright = np.full((500, 400, 3), RED, np.uint8)
    upright[113:320, 160:333] = GREEN
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    # Blocks of a JPEG show a little of what is beside them; these are whole.
    options = {"quality": 100, "subsampling": "4:4:4"} if kind == "jpeg" else {}
    original = written(stored, kind, exif=b"Exif\0\0" + exif(orientation), **options)

    shown = made(original, Crop(160, 113, 173, 207), Resize(*size), format="png")

    assert np.abs(pixels(shown.data, "RGB") - GREEN).max() <= (0 if kind == "png" else 12)


def test_what_is_cropped_away_after_scaling_is_still_a_neighbour():
    picture = np.full((8, 64, 3), RED, np.uint8)
    picture[:, 30:] = GREEN
    original = written(Image.fromarray(picture), "png")

    whole = pixels(made(original, Resize(16, 2)).data, "RGB")
    part = pixels(made(original, Resize(16, 2), Crop(7, 0, 4, 2)).data, "RGB")

    assert (part == whole[:, 7:11]).all()
    assert 0 < part[0, 0, 1] < 255


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_a_part_that_is_not_scaled_keeps_its_pixels(mode):
    image = noise(mode, (61, 47))

    shown = made(written(image, "png"), Crop(1, 2, 59, 40), Crop(3, 4, 30, 20))

    with Image.open(io.BytesIO(shown.data)) as result:
        kept = np.asarray(image)[6:26, 4:34]
        assert result.mode == mode
        assert (np.asarray(result) == kept).all()


def test_the_size_that_it_has_already_is_no_scaling():
    image = noise("RGB", (61, 47))

    shown = made(written(image, "png"), Resize(61, 47), Crop(1, 2, 30, 20), Resize("100%", "100%"))

    assert (pixels(shown.data, "RGB") == np.asarray(image)[2:22, 1:31]).all()


def test_a_second_scaling_is_done_to_what_the_first_one_made():
    stripes = np.zeros((40, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    original = written(Image.fromarray(stripes), "png")

    shown = pixels(made(original, Resize(12, 2), Resize(240, 40)).data, "L")

    assert shown[:, 12:-12].min() > 100
    assert shown[:, 12:-12].max() < 155


def test_a_part_can_be_confined_to_less_than_a_pixel():
    image = Image.new("L", (4, 4), 7)
    part = Fraction(5, 4), Fraction(3, 2), Fraction(7, 4), Fraction(7, 2)

    inner, box = confined(image, (0, 0, 4, 4), part, part)

    assert inner.size == (1, 1)
    assert box == (0.0, 0.0, 1.0, 1.0)


# That nothing is ever outside

SMALL = Limits(max_pixels=1_000_000)


@st.composite
def crops_and_covers(draw, whole):
    """Crops, one scaling, and more crops, each of which fits what the ones before have left."""
    size = whole
    gravity = st.one_of(
        st.sampled_from(get_args(Direction)),
        st.builds(FocalPoint, *2 * [st.floats(0, 1, allow_nan=False)]),
    )

    def crops():
        nonlocal size
        for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
            size = tuple(draw(st.integers(1, edge)) for edge in size)
            yield Crop(width=size[0], height=size[1], gravity=draw(gravity))

    operations: list[Operation] = list(crops())
    fit = draw(st.sampled_from(["cover", "fill", "inside", "outside"]))
    width, height = draw(st.tuples(*2 * [st.integers(1, 300)]))
    operations.append(Resize(width, height, fit, draw(gravity), enlarge=draw(st.booleans())))
    try:
        size = Course(tuple(operations), whole, SMALL, EMPTY).foresee().size
    except ImpossibleRecipe:  # What is cut narrow and is to be high comes to be very wide.
        reject()
    return (*operations, *crops())


@st.composite
def originals(draw):
    """What a header tells of a picture, and operations that fit it."""
    edge = st.integers(1, 600)
    facts = Facts(
        draw(st.sampled_from(["jpeg", "png"])),
        draw(edge),
        draw(edge),
        orientation=draw(st.sampled_from(sorted(STORED))),
    )
    return facts, draw(crops_and_covers(facts.size_as_shown))


@settings(max_examples=1000, deadline=None)
@given(originals())
def test_whatever_is_cropped_and_scaled_is_inside_of_the_picture_however_it_is_stored(original):
    facts, operations = original
    work = _Work(Output(operations=operations), facts, SMALL, EMPTY, never, 1, None)
    step = draft_of(facts, work.wanted)
    image = Image.new("L", (-(-facts.width // step), -(-facts.height // step)), 77)
    decoded = Decoded(image, (0.0, 0.0, facts.width / step, facts.height / step), None)

    seen = work._seen(decoded)

    assert seen.size == work._course.window.size
    assert set(seen.tobytes()) == {77}


@pytest.mark.parametrize(
    ("size", "orientation", "cover"),
    [
        ((4032, 3024), 3, Resize(688, 674, "cover", "southeast")),
        ((6000, 4000), 4, Resize(640, 480, "cover", "southeast")),
        ((1600, 1200), 8, Resize(565, 1161, "cover", "south")),
    ],
)
def test_a_photograph_is_covered_however_it_is_stored(size, orientation, cover):
    original = written(Image.new("L", size, 77), "jpeg", exif=b"Exif\0\0" + exif(orientation))

    result = made(original, cover)

    assert (result.width, result.height) == (cover.width, cover.height)


def test_no_more_of_the_original_is_wanted_than_is_needed():
    """An error of the arithmetic, rounded up, would be a pixel."""
    way = Course((Resize(300, 300), Crop(100, 100, 100, 100)), (4000, 4000), DEFAULT_LIMITS, EMPTY)

    assert wanted(way.window, Facts("jpeg", 4000, 4000)) == (300, 300)
