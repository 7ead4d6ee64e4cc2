"""Plans: what a render would do, told before anything is decoded."""

import msgspec
import pytest
from PIL import Image

from actors.imaging.errors import ImpossibleRecipe, Misfits
from actors.imaging.facts import DEFAULT_LIMITS, Limits
from actors.imaging.operations.cropping import Crop, Trim
from actors.imaging.operations.filters import Blur
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize, Scale, Thumbnail
from actors.imaging.operations.turning import Flip, Rotate
from actors.imaging.plan import foresee
from actors.imaging.recipe import Output, Recipe
from actors.imaging.render import render
from tests.imaging.pictures import exif, photograph, segment, with_segments, written

PHOTO = written(photograph(120, 80), "jpeg")


def plan(data: bytes, *outputs: Output, **recipe):
    return foresee(data, Recipe(outputs, **recipe), DEFAULT_LIMITS)


@pytest.mark.parametrize(
    "output",
    [
        Output(),
        Output(operations=(Resize("50%", 30, "cover"), Blur(2), Rotate(10)), format="webp"),
        Output(operations=(Flip(), Crop(aspect="1:1"), Thumbnail(20, 20)), format="png"),
        Output(name="one", operations=(Resize(width=33),), format="avif"),
    ],
    ids=lambda output: output.name,
)
def test_a_render_does_what_was_foreseen(output):
    (foreseen,) = plan(PHOTO, output).outputs
    (made,) = render(PHOTO, Recipe((output,)))

    assert (foreseen.name, foreseen.format) == (made.name, made.format)
    assert (foreseen.width, foreseen.height) == (made.width, made.height)
    assert (foreseen.frames, foreseen.operations) == (made.frames, made.operations)


def test_each_output_is_foreseen():
    outputs = plan(PHOTO, Output(name="a"), Output(name="b", operations=(Thumbnail(9, 9),))).outputs

    assert [(each.name, each.width, each.height) for each in outputs] == [
        ("a", 120, 80),
        ("b", 9, 6),
    ]


@pytest.mark.parametrize(("autorotate", "size"), [(True, (80, 120)), (False, (120, 80))])
def test_the_orientation_counts(autorotate, size):
    turned = with_segments(PHOTO, segment(0xE1, b"Exif\0\0" + exif(6)))

    (foreseen,) = plan(turned, Output(), autorotate=autorotate).outputs

    assert (foreseen.width, foreseen.height) == size


def test_what_must_look_at_the_picture_ends_what_can_be_foreseen():
    (foreseen,) = plan(PHOTO, Output(operations=(Thumbnail(60, 60), Trim(), Flip()))).outputs

    assert (foreseen.width, foreseen.height) == (None, None)
    assert foreseen.operations == (Resize(60, 40),)


@pytest.mark.parametrize(("kind", "frames"), [("gif", 3), ("webp", 3), ("jpeg", 1), ("json", 1)])
def test_frames_are_foreseen_where_the_format_has_them(kind, frames):
    images = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    animation = written(images[0], "gif", save_all=True, append_images=images[1:])

    (foreseen,) = plan(animation, Output(format=kind)).outputs
    (made,) = render(animation, Recipe((Output(format=kind),)))

    assert foreseen.frames == made.frames == frames


def test_a_smart_crop_has_a_size_but_no_place():
    steps = (Resize(60, 60, "cover", "smart"), Flip())

    (foreseen,) = plan(PHOTO, Output(operations=steps)).outputs

    assert (foreseen.width, foreseen.height) == (60, 60)
    assert foreseen.operations == (Resize(90, 60),)


def test_what_may_fit_what_a_trim_leaves_is_no_fault():
    steps = (Trim(), Resize("999%", "999%", dpr=4))

    (foreseen,) = plan(PHOTO, Output(operations=steps)).outputs

    assert (foreseen.width, foreseen.height) == (None, None)


def moving(size, frames):
    """A GIF of frames that differ."""
    images = [Image.new("L", size, 9 * number) for number in range(frames)]
    return written(images[0], "gif", save_all=True, append_images=images[1:])


@pytest.mark.parametrize(
    ("data", "output", "why"),
    [
        (PHOTO, Output(operations=(Pad(left=16_384),), format="webp"), "16,504 x 80 pixels, and"),
        (PHOTO, Output(operations=(Pad(left=16_384),), format="avif", lossless=True), "an AVIF"),
        (PHOTO, Output(operations=(Trim(),), format="avif", lossless=True), "an AVIF is not"),
        (moving((200, 200), 4), Output(operations=(Scale(16.0),), format="webp"), "4 frames would"),
        (PHOTO, Output(format="auto", accepts=()), "the client takes no format"),
        (PHOTO, Output(format="auto", accepts=("jpeg",), lossless=True), "the client takes no f"),
        (moving((200, 200), 4), Output(operations=(Scale(16.0),)), "4 frames would have 40,960,0"),
    ],
    ids=["edge", "loss", "any", "webp", "none", "lossy", "gif"],
)
def test_what_cannot_be_written_is_known_beforehand_and_said_alike(data, output, why):
    recipe, limits = Recipe((output,)), Limits(max_total_pixels=40_000_000)

    with pytest.raises(Misfits) as foreseen:
        foresee(data, recipe, limits)
    with pytest.raises(ImpossibleRecipe) as met:
        render(data, recipe, limits)

    assert str(foreseen.value) == str(met.value)
    assert why in str(met.value)
    assert [misfit[:2] for misfit in foreseen.value.misfits] == [(0, None)]


@pytest.mark.parametrize(
    "output",
    [
        Output(operations=(Scale(16.0),), format="webp", animation="first"),
        Output(operations=(Scale(16.0),), format="jpeg"),
        Output(operations=(Scale(16.0),), format="json"),
        Output(operations=(Scale(16.0), Trim())),
        Output(format="auto", accepts=("avif", "webp"), lossless=True),
    ],
    ids=["first", "jpeg", "json", "trim", "auto"],
)
def test_what_may_well_be_written_is_no_fault(output):
    foresee(moving((200, 200), 4), Recipe((output,)), Limits(max_total_pixels=40_000_000))


BEYOND = Crop(100, 0, 50, 50)


def test_a_step_that_does_not_fit_is_named():
    with pytest.raises(Misfits, match=r"^Step 2 \(crop\): ") as raised:
        plan(PHOTO, Output(operations=(Flip(), BEYOND)))

    assert [misfit[:2] for misfit in raised.value.misfits] == [(0, 1)]


def test_of_every_output_it_is_told_what_does_not_fit():
    outputs = (
        Output(name="a", operations=(Flip(), BEYOND)),
        Output(name="b"),
        Output(name="c", operations=(BEYOND, BEYOND)),
    )

    with pytest.raises(Misfits) as raised:
        plan(PHOTO, *outputs)

    why = ": a part of 50 x 50 pixels at 100, 0 is not in a picture of 120 x 80."
    first, second = f"Output a, step 2 (crop){why}", f"Output c, step 1 (crop){why}"
    assert raised.value.misfits == ((0, 1, first), (2, 0, second))
    assert str(raised.value) == f"{first} {second}"
    again = type(raised.value)(*raised.value.args)
    assert (again.misfits, str(again)) == (raised.value.misfits, str(raised.value))


def test_what_would_take_too_long_is_impossible():
    slow = Output(format="avif", effort=9, min_ssim=0.99, operations=(Resize(4000, 4000),))

    assert plan(PHOTO, slow).cost.seconds < 60
    with pytest.raises(
        ImpossibleRecipe,
        match=r"^It would take about [0-9]+ seconds of a core; at most 60 are allowed\.$",
    ):
        plan(PHOTO, slow, *(msgspec.structs.replace(slow, name=f"n{n}") for n in range(3)))
