"""Animations: every frame is treated alike, and what moves goes on moving as it did."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from actors.imaging import source
from actors.imaging.decode import frames
from actors.imaging.encode import Timing, encode
from actors.imaging.errors import ImpossibleRecipe, RenderStopped
from actors.imaging.expect import Expect
from actors.imaging.facts import DEFAULT_LIMITS, Limits
from actors.imaging.inspect import inspect
from actors.imaging.operations.covering import Border, Redact, Round
from actors.imaging.operations.cropping import Crop, Trim
from actors.imaging.operations.filters import Blur, Pixelate
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize, Thumbnail
from actors.imaging.operations.tones import Autocontrast, Duotone, Invert, Opacity
from actors.imaging.operations.turning import Flip, Flop, Rotate
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import Encoding, Output, Recipe
from actors.imaging.render import render
from tests.imaging.pictures import BLUE, GREEN, RED, WHITE, exif, photograph, quarters, written
from tests.imaging.rendering import made, opened, recipe_of

MOVING = ["gif", "webp", "avif", "png"]
DURATIONS = (50, 120, 300)
COLOURS = (RED, GREEN, BLUE)


def animated(kind, images, durations=DURATIONS, loop=0, **options):
    """A file of several frames."""
    if kind == "webp":
        options.setdefault("lossless", True)
    if kind == "avif":
        options.setdefault("quality", 90)
    elif loop is not None:
        options["loop"] = loop
    return written(
        images[0],
        kind,
        save_all=True,
        append_images=images[1:],
        duration=list(durations),
        **options,
    )


def squares(size=(40, 30)):
    """Three frames in which a square wanders over white, each time in another colour."""
    images = []
    for number, colour in enumerate(COLOURS):
        image = Image.new("RGB", size, WHITE)
        image.paste(colour, (10 * number, 10, 10 * number + 10, 20))
        images.append(image)
    return images


def seen(data, mode="RGB"):
    """What is seen of each frame, and for how long."""
    shown = list(frames(data, inspect(data)))
    return (
        [np.asarray(image.convert(mode)).astype(int) for image, _ in shown],
        tuple(duration for _, duration in shown),
    )


@pytest.mark.parametrize("target", MOVING)
@pytest.mark.parametrize("kind", [*MOVING, "png"])
def test_every_frame_is_kept_for_as_long_as_it_was_shown(kind, target):
    result = made(animated(kind, squares()), format=target)

    shown, durations = seen(result.data)
    assert (result.frames, durations) == (3, DURATIONS)
    for image, expected in zip(shown, squares(), strict=True):
        assert np.abs(image - np.asarray(expected)).mean() < 5


EQUAL = [RED, RED, BLUE], [RED, BLUE, BLUE], [RED, RED, RED], [RED, BLUE, RED, RED]


@pytest.mark.parametrize("target", MOVING)
@pytest.mark.parametrize("durations", [(0, 0, 0, 0), (0, 0, 100, 100), (100, 0, 0, 0)])
@pytest.mark.parametrize("colours", EQUAL, ids=str)
def test_frames_that_are_equal_or_shown_for_no_time_are_as_like_as_any(colours, durations, target):
    images = [Image.new("RGB", (32, 32), colour) for colour in colours]
    film = encode(images, "gif", Encoding(), timing=Timing(durations[: len(images)])).data
    assert inspect(film).frames == len(images)

    searched = made(film, format=target, min_ssim=0.5)
    expected = made(film, format=target, expect=Expect(min_ssim=0.5))

    assert searched.ssim is not None
    assert searched.ssim >= 0.5
    assert expected.ssim is not None
    assert expected.ssim > 0.9


def test_a_frame_that_no_time_tells_from_another_is_held_against_itself():
    images = [photograph(64, 64, seed) for seed in (1, 1, 2, 3)]
    film = encode(images, "gif", Encoding(), timing=Timing((0, 0, 0, 0))).data

    rough = made(film, format="webp", quality=1, expect=Expect(min_ssim=0.1)).ssim
    fine = made(film, format="webp", quality=100, expect=Expect(min_ssim=0.1)).ssim

    assert rough is not None
    assert fine is not None
    assert rough < 0.8
    assert fine > 0.95


@pytest.mark.parametrize("target", MOVING)
@pytest.mark.parametrize("colours", EQUAL, ids=str)
def test_as_many_frames_are_told_as_the_file_has(colours, target):
    images = [Image.new("RGB", (32, 32), colour) for colour in colours]
    film = encode(images, "gif", Encoding(), timing=Timing((100,) * len(images))).data

    result = made(film, format=target)

    assert result.frames == inspect(result.data).frames
    # The writers of the other two make one of neighbours that are equal.
    assert result.frames == len(images) or target in {"webp", "png"}


@pytest.mark.parametrize("kind", ["gif", "webp"])
@pytest.mark.parametrize("loop", [0, 1, 5])
@pytest.mark.parametrize("target", MOVING)
def test_it_plays_as_often_as_it_did(kind, loop, target):
    original = animated(kind, squares(), loop=loop)

    result = made(original, Resize(20, 15), format=target)

    assert inspect(result.data).loops == inspect(original).loops


@pytest.mark.parametrize("target", ["jpeg", "tiff", "json"])
def test_of_what_becomes_still_the_first_frame_is_seen(target):
    result = made(animated("gif", squares()), Crop(0, 10, 10, 10), format=target)

    assert result.frames == 1
    if target == "json":
        assert b'"frames":3' in result.data
    else:
        assert np.abs(np.asarray(opened(result.data)) - np.array(RED)).max() < 6


@pytest.mark.parametrize("kind", MOVING)
def test_the_first_frame_alone_can_be_asked_for(kind):
    result = made(animated(kind, squares()), animation="first")

    (shown,), _ = seen(result.data)
    assert result.frames == 1
    assert np.abs(shown - np.asarray(squares()[0])).mean() < 3


ALL = {
    "crop": (Crop(5, 5, 30, 20),),
    "crop and resize": (Crop(5, 5, 30, 20), Resize(60, 40)),
    "resize and crop": (Resize(80, 60), Crop(10, 10, 60, 40)),
    "cover": (Resize(20, 20, "cover"),),
    "contain": (Resize(20, 20, "contain", background="#336699"),),
    "flip": (Flip(), Flop()),
    "pad": (Pad(top=3, left=5, background="yellow"),),
    "turn": (Rotate(90),),
    "tilt": (Rotate(30, "navy"),),
    "blur": (Blur(2),),
    "pixelate": (Pixelate(6),),
    "invert": (Invert(),),
    "duotone": (Duotone("navy", "ivory"),),
    "border": (Border(2, "teal"),),
    "redact": (Redact(3, 3, 20, 20, "fill"),),
    "text": (Watermark(text="x", color="black", scale=0.3),),
}


@pytest.mark.parametrize("operations", ALL.values(), ids=ALL.keys())
def test_operations_are_done_to_every_frame_as_to_a_picture(operations):
    result = made(animated("webp", squares()), *operations, lossless=True)

    shown, durations = seen(result.data, "RGBA")
    assert durations == DURATIONS
    for image, frame in zip(shown, squares(), strict=True):
        alone = made(written(frame, "png"), *operations)
        assert (image.shape[1], image.shape[0]) == (alone.width, alone.height)
        still = np.asarray(opened(alone.data).convert("RGBA")).astype(int)
        assert np.abs(image - still).max() <= 1


def test_what_the_first_frame_decides_is_the_same_for_all():
    dark, light = (Image.new("L", (32, 32), level) for level in (0, 0))
    for place in range(32):
        dark.paste(40 + 2 * place, (place, 0, place + 1, 32))
        light.paste(60 + 2 * place, (place, 0, place + 1, 32))
    original = animated("webp", [dark.convert("RGB"), light.convert("RGB")], (100, 100))

    (first, second), _ = seen(made(original, Autocontrast(), lossless=True).data)

    assert first[0, 0, 0] == 0
    assert first[0, -1, 0] == 255
    # 20 levels of what was 62, spread to 255.
    assert np.abs(second[0, :15, 0] - first[0, :15, 0] - 20 * 255 / 62).max() <= 1


def test_the_same_part_of_every_frame_is_trimmed():
    result = made(animated("webp", squares()), Trim(), lossless=True)

    shown, _ = seen(result.data)
    assert (result.width, result.height) == (10, 10)
    assert (shown[0] == RED).all()
    assert (shown[1] == WHITE).all()


def test_the_same_part_of_every_frame_draws_the_eye():
    plain = Image.new("RGB", (120, 30), (60, 60, 60))
    left, right = plain.copy(), plain.copy()
    left.paste(photograph(24, 24), (3, 3))
    right.paste(photograph(24, 24), (93, 3))
    original = animated("webp", [left, right], (100, 100))

    result = made(original, Crop(width=30, height=30, gravity="smart"), lossless=True)

    (first, second), _ = seen(result.data)
    assert first.std() > 20
    assert second.std() == 0


def test_one_round_corner_cuts_every_frame():
    result = made(animated("gif", squares()), Round("50%"))

    shown, _ = seen(result.data, "RGBA")
    assert [image[0, 0, 3] for image in shown] == [0, 0, 0]
    assert [image[15, 20, 3] for image in shown] == [255, 255, 255]


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_what_is_translucent_stays_so_in_every_frame(kind):
    result = made(animated("webp", squares()), Opacity(0.4), format=kind)

    shown, _ = seen(result.data, "RGBA")
    assert all(np.abs(image[..., 3] - 102).max() <= 2 for image in shown)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_frame_is_turned_upright(orientation):
    images = [quarters(32, 16), quarters(32, 16, (WHITE, BLUE, GREEN, RED))]
    original = animated("webp", images, (100, 100), exif=b"Exif\0\0" + exif(orientation))

    result = made(original, Thumbnail(16, 16), lossless=True)

    for image, stored in zip(seen(result.data)[0], images, strict=True):
        still = written(stored, "png", exif=b"Exif\0\0" + exif(orientation))
        alone = np.asarray(opened(made(still, Thumbnail(16, 16)).data))
        assert (image == alone).all()


def test_stills_and_films_are_made_of_one_original():
    outputs = (
        Output(name="film", operations=(Resize(20, 15),), format="webp"),
        Output(name="poster", operations=(Resize(20, 15),), format="jpeg"),
        Output(name="facts", format="json"),
        Output(name="other", operations=(Flop(),), format="gif"),
    )

    results = render(animated("gif", squares()), Recipe(outputs))

    assert [each.frames for each in results] == [3, 1, 1, 3]
    assert [each.format for each in results] == ["webp", "jpeg", "json", "gif"]


def watch(monkeypatch):
    """Return a list that grows each time an original is played."""
    played = []

    def playing(*of):
        played.append(of)
        return frames(*of)

    monkeypatch.setattr(source, "frames", playing)
    return played


def test_films_of_one_original_are_decoded_together(monkeypatch):
    played = watch(monkeypatch)
    outputs = tuple(
        Output(name=kind, operations=(Resize(20, 15),), format=kind) for kind in ("gif", "webp")
    )

    together = render(animated("gif", squares()), Recipe(outputs))

    assert len(played) == 1
    alone = [render(animated("gif", squares()), Recipe((output,)))[0] for output in outputs]
    assert [each.data for each in together] == [each.data for each in alone]


def test_films_that_would_take_too_much_together_are_decoded_one_after_another(monkeypatch):
    played = watch(monkeypatch)
    outputs = tuple(Output(name=f"n{n}", operations=(Resize(30, 20),)) for n in range(5))
    limits = replace(DEFAULT_LIMITS, max_total_pixels=2 * 3 * 30 * 20)

    results = render(animated("gif", squares()), Recipe(outputs), limits)

    assert len(played) == 3
    assert [each.frames for each in results] == [3] * 5


# Limits


def test_all_frames_together_may_not_pass_the_limit():
    original = animated("webp", squares())
    limits = Limits(max_pixels=10_000, max_total_pixels=12_000)

    assert made(original, Resize(80, 50), limits=limits).frames == 3
    with pytest.raises(
        ImpossibleRecipe,
        match=r"^Output output: 3 frames would have 12,240 pixels; at most 12,000 in all",
    ):
        made(original, Resize(80, 51), limits=limits)


def test_a_still_of_an_animation_may_be_as_large_as_any_other():
    limits = Limits(max_pixels=10_000, max_total_pixels=12_000)

    result = made(animated("webp", squares()), Resize(100, 100), animation="first", limits=limits)

    assert result.width == 100


def test_the_same_number_of_frames_can_be_expected():
    original = animated("gif", squares())
    expect = Expect(frames="same")

    assert made(original, Invert(), format="webp", expect=expect).frames == 3
    for format_, animation in (("jpeg", "keep"), ("gif", "first")):
        with pytest.raises(ImpossibleRecipe, match="it has 1 frames, and the original 3"):
            made(original, expect=expect, format=format_, animation=animation)


@pytest.mark.parametrize("operations", [(), (Resize(20, 20),), (Flop(), Invert())])
def test_the_work_can_be_given_up_between_any_two_frames(operations):
    original = animated("webp", squares())
    recipe = recipe_of(*operations, format="webp")
    questions = itertools.count()
    render(original, recipe, stopped=lambda: next(questions) < 0)
    asked = next(questions)

    assert asked >= 3 * 2
    for patience in range(asked):
        answers = itertools.chain([False] * patience, itertools.repeat(True))
        with pytest.raises(RenderStopped):
            render(original, recipe, stopped=answers.__next__)
