"""The way of one output: what is done while decoding, what follows, and what can be foreseen."""

from fractions import Fraction
from typing import get_args

import pytest
from PIL import Image

from actors.imaging.album import Album
from actors.imaging.course import Course, Window, repeat
from actors.imaging.errors import ImpossibleRecipe, RenderStopped
from actors.imaging.facts import DEFAULT_LIMITS, Limits
from actors.imaging.operations.covering import Border
from actors.imaging.operations.cropping import Crop, Trim
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize, Scale
from actors.imaging.operations.tones import (
    Invert,
)
from actors.imaging.operations.turning import Flip, Flop
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import Operation
from actors.imaging.render import never
from actors.imaging.step import Apply, Scene
from tests.imaging.examples import EXAMPLES
from tests.imaging.operations.trials import noise
from tests.imaging.pictures import written

SIZE = (400, 300)


def course(*operations, size=SIZE, limits=DEFAULT_LIMITS, others=None):
    return Course(operations, size, limits, Album(others or {}, limits))


def window(box, size, scaled=None):
    return Window(part(*box), size, part(*scaled) if scaled else None)


def part(left, top, right, bottom):
    return Fraction(left), Fraction(top), Fraction(right), Fraction(bottom)


def unseen():
    raise AssertionError("nobody may look")


def test_there_is_an_example_of_every_operation():
    assert {type(each) for each in EXAMPLES} == set(get_args(Operation))


# What is done while decoding


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ((), window((0, 0, 400, 300), (400, 300))),
        ((Crop(10, 20, 200, 100),), window((10, 20, 210, 120), (200, 100))),
        (
            (Crop(10, 20, 200, 100), Crop("50%", "50%", "50%", "50%")),
            window((110, 70, 210, 120), (100, 50)),
        ),
        ((Resize(100, 30),), window((0, 0, 400, 300), (100, 30), (0, 0, 400, 300))),
        (
            (Crop(10, 20, 200, 100), Resize(50, 50), Crop(10, 5, 20, 40)),
            window((50, 30, 130, 110), (20, 40), (10, 20, 210, 120)),
        ),
        (
            (Resize(200, 100, "cover"),),
            window((0, 50, 400, 250), (200, 100), (0, 0, 400, 300)),
        ),
        ((Resize("100%"), Crop(1, 2, 3, 4)), window((1, 2, 4, 6), (3, 4))),
        ((Scale(0.5),), window((0, 0, 400, 300), (200, 150), (0, 0, 400, 300))),
        ((Flop(), Crop(10, 20, 200, 100)), window((0, 0, 400, 300), (400, 300))),
        ((Trim(), Resize(10, 10)), window((0, 0, 400, 300), (400, 300))),
        ((Resize(40, 30), Resize(10, 10)), window((0, 0, 400, 300), (40, 30), (0, 0, 400, 300))),
    ],
)
def test_the_crops_and_the_one_scaling_at_the_start_are_a_window(operations, expected):
    assert course(*operations).window == expected


def test_what_is_a_window_needs_no_look_and_nothing_is_left_of_it():
    way = course(Crop(10, 20, 200, 100), Resize(50, 50, "cover"))

    assert way.resolved == [
        Crop(10, 20, 200, 100),
        Resize(100, 50),
        Crop(25, 0, 50, 50),
    ]
    image = Image.new("L", (50, 50))
    assert way.begin(image, never) is image


# What follows


@pytest.mark.parametrize("mode", ["L", "RGBA"])
@pytest.mark.parametrize("step", EXAMPLES, ids=repr)
def test_what_is_resolved_is_in_whole_pixels_and_resolves_to_itself(step, mode):
    image = noise(mode, SIZE)
    way = course(Flop(), step, others={"logo": written(Image.new("L", (9, 9)), "png")})

    result = way.begin(image, never)

    size = SIZE
    for resolved in way.resolved:
        assert not resolved.looks
        assert resolved.resolve(Scene(size, unseen)) == (resolved,)
        size = resolved.size_after(size)
    assert result.size == size


@pytest.mark.parametrize("step", EXAMPLES, ids=repr)
def test_another_frame_is_treated_alike(step):
    first, second = noise("RGB", SIZE), noise("RGB", SIZE, seed=2)
    way = course(Flop(), step, others={"logo": written(Image.new("L", (9, 9)), "png")})

    steps: list[Apply] = []
    one = way.begin(first, never, steps)
    resolved = tuple(way.resolved)
    other = repeat(steps, second, never)

    assert (other.size, other.mode) == (one.size, one.mode)
    assert tuple(way.resolved) == resolved


def test_a_step_that_looks_sees_what_the_ones_before_it_made():
    image = Image.new("RGB", SIZE, "white")
    image.paste("red", (100, 100, 150, 120))
    way = course(Flip(), Trim(), Resize(100, 80), Trim())

    result = way.begin(image, never)

    assert way.resolved == [Flip(), Crop(100, 180, 50, 20), Resize(100, 80)]
    assert result.size == (100, 80)


def test_the_picture_that_comes_in_is_left_alone():
    image = noise("RGBA", (40, 30))
    before = image.tobytes()

    course(Invert(), Border(3), size=(40, 30)).begin(image, never)

    assert image.tobytes() == before


def test_it_can_be_given_up_before_each_step():
    way = course(Flip(), Invert(), Flop())
    steps: list[Apply] = []
    way.begin(noise("L", SIZE), never, steps)

    for patience in range(3):
        answers = iter([False] * patience + [True])
        with pytest.raises(RenderStopped):
            course(Flip(), Invert(), Flop()).begin(noise("L", SIZE), answers.__next__)
        answers = iter([False] * patience + [True])
        with pytest.raises(RenderStopped):
            repeat(steps, noise("L", SIZE), answers.__next__)


# What can be foreseen


@pytest.mark.parametrize("step", EXAMPLES, ids=repr)
def test_what_is_foreseen_comes_true(step):
    others = {"logo": written(Image.new("L", (9, 9)), "png")}
    way, plan = (course(Flop(), step, Flip(), others=others) for _ in range(2))

    ahead = plan.foresee()
    result = way.begin(noise("RGB", SIZE), never)

    if ahead.is_sized:
        assert ahead.size == result.size
    if any(stage.step.looks for stage in ahead.stages):
        assert plan.resolved == way.resolved[: len(plan.resolved)]
    else:
        assert plan.resolved == way.resolved


def test_what_a_step_that_looks_leaves_cannot_be_foreseen():
    plan = course(Resize(100, 100), Flop(), Trim(), Flip())

    ahead = plan.foresee()

    assert [(stage.step, stage.after) for stage in ahead.stages] == [
        (Flop(), (100, 100)),
        (Trim(), (100, 100)),
        (Flip(), (100, 100)),
    ]
    assert plan.resolved == [Resize(100, 100), Flop()]
    assert not ahead.is_sized


# What is not possible


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ((Crop(0, 0, 401, 10),), r"Step 1 \(crop\): a part of 401 x 10 .*\."),
        ((Resize(100, 100, "cover"), Crop(0, 0, 101, 10)), r"Step 2 \(crop\): .*\."),
        ((Resize(50, 50), Resize(4096, 4096)), r"Step 2 \(resize\): .* 4,096 x 4,096 pixels; .*\."),
    ],
)
def test_what_a_header_tells_to_be_impossible_is_refused_before_a_pixel_is_decoded(
    operations, message
):
    with pytest.raises(ImpossibleRecipe, match=f"^{message}$"):
        course(*operations, limits=Limits(max_pixels=16_000_000))


def test_the_limit_on_pixels_holds_for_each_step_that_follows():
    operations = Flop(), Pad(top=100), Crop(0, 0, 10, 10)
    limits = Limits(max_pixels=400 * 399)

    with pytest.raises(ImpossibleRecipe, match=r"^Step 2 \(pad\): the picture would be 400 x 400"):
        course(*operations, limits=limits).begin(noise("L", SIZE), never)
    with pytest.raises(ImpossibleRecipe, match=r"^Step 2 \(pad\): the picture would be 400 x 400"):
        course(*operations, limits=limits).foresee()


def test_a_step_that_can_only_be_done_in_vain_says_which_it_is():
    way = course(Flop(), Watermark(image="logo"), others={"logo": b"no image"})

    with pytest.raises(ImpossibleRecipe, match=r"^Step 2 \(watermark\): .* cannot be read\.$"):
        way.begin(noise("RGB", SIZE), never)
