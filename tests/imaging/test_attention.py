"""Attention: that what a person would look at stays in the picture."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from actors.imaging.attention import most_striking
from tests.imaging import gallery
from tests.imaging.pictures import photograph

MODES = ["L", "LA", "RGB", "RGBA"]
GREY = (128, 128, 128)


def noise(size, seed=1):
    """Grey grain."""
    chance = np.random.default_rng(seed)
    return Image.fromarray(chance.integers(0, 256, (size[1], size[0]), dtype=np.uint8))


def blob(size, box, colour):
    image = Image.new("RGB", size, GREY)
    ImageDraw.Draw(image).ellipse(box, fill=colour)
    return image


def share_within(box, at, size):
    """How much of `box` the part of this `size` shows."""
    across = min(box[2], at[0] + size[0]) - max(box[0], at[0])
    down = min(box[3], at[1] + size[1]) - max(box[1], at[1])
    return max(0, across) * max(0, down) / ((box[2] - box[0]) * (box[3] - box[1]))


@pytest.mark.parametrize("size", [(200, 400), (600, 150), (300, 200), (120, 120)])
@pytest.mark.parametrize("left", [10, 250, 500])
@pytest.mark.parametrize("top", [10, 150, 300])
def test_a_red_blob_is_kept_wherever_it_is(size, left, top):
    box = (left, top, left + 90, top + 90)

    at = most_striking(blob((600, 400), box, "red"), size)

    assert share_within(box, at, size) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_blob_is_kept_in_every_mode(mode):
    box = (20, 30, 80, 90)
    image = blob((301, 203), box, "black").convert(mode)

    assert share_within(box, most_striking(image, (101, 103)), (101, 103)) == 1


def test_a_blob_is_in_the_middle_of_the_part_where_there_is_room():
    box = (300, 100, 360, 160)

    left, top = most_striking(blob((800, 600), box, "red"), (240, 240))

    assert abs(left + 120 - 330) < 25
    assert abs(top + 120 - 130) < 25


@pytest.mark.parametrize("skin", [(224, 172, 105), (141, 85, 36), (255, 219, 172), (86, 54, 40)])
@pytest.mark.parametrize("left", [40, 440])
def test_a_face_draws_more_than_grain_does(skin, left):
    image = Image.new("RGB", (600, 200), "lightsteelblue")
    grain = noise((120, 160)).filter(ImageFilter.GaussianBlur(2))
    image.paste(grain, (480 - left, 20))
    pen = ImageDraw.Draw(image)
    face = (left, 20, left + 120, 180)
    pen.ellipse(face, fill=skin)
    for x in (left + 35, left + 75):
        pen.ellipse((x, 70, x + 12, 80), fill="black")
    pen.line((left + 40, 135, left + 80, 135), fill="maroon", width=6)

    at = most_striking(image, (150, 200))

    assert share_within(face, at, (150, 200)) > 0.95


def test_what_is_written_draws_more_than_an_empty_page():
    page = Image.new("L", (600, 800), 250)
    pen = ImageDraw.Draw(page)
    for line in range(8):
        pen.text((330, 560 + 22 * line), "the quick brown fox jumps over", fill=0, font_size=16)

    at = most_striking(page, (300, 300))

    assert share_within((330, 560, 550, 736), at, (300, 300)) > 0.95


def test_what_is_transparent_draws_no_eye_whatever_its_colour():
    image = Image.new("RGBA", (400, 300))
    image.paste(noise((400, 300)))
    image.putalpha(0)
    image.paste(photograph(100, 100).convert("RGBA"), (280, 10))

    at = most_striking(image, (120, 120))

    assert share_within((280, 10, 380, 110), at, (120, 120)) == 1


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_the_only_thing_there_is_kept_though_it_is_plain(mode):
    image = Image.new(mode, (300, 300))
    opaque = Image.new(mode, (60, 60), (200,) * (len(mode) - 1) + (255,))
    image.paste(opaque, (20, 220))

    at = most_striking(image, (90, 90))

    assert share_within((20, 220, 80, 280), at, (90, 90)) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("whole", [(301, 200), (97, 501), (16, 9), (16_384, 1), (1, 3_000)])
def test_of_a_featureless_picture_the_centre_is_kept(mode, whole):
    colour = (90,) * len(mode)
    for share in (0.1, 0.5, 0.9, 1):
        size = max(1, round(whole[0] * share)), max(1, round(whole[1] * share))

        at = most_striking(Image.new(mode, whole, colour), size)

        for place, length, edge in zip(at, size, whole, strict=True):
            assert abs(2 * place + length - edge) <= 1


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_picture_of_nothing_but_skin_is_featureless(mode):
    image = Image.new("RGB", (300, 200), (224, 172, 105)).convert(mode)

    assert most_striking(image, (100, 100)) == (100, 50)


def test_a_picture_that_is_invisible_is_featureless():
    image = noise((300, 200)).convert("RGBA")
    image.putalpha(0)

    assert most_striking(image, (100, 100)) == (100, 50)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("whole", [(1, 1), (2, 1), (1, 7), (3, 3), (131, 67), (1_000, 3), (5, 999)])
def test_the_part_is_always_in_the_picture(mode, whole):
    image = noise(whole).convert(mode)
    lengths = [sorted({1, (edge + 1) // 2, max(1, edge - 1), edge}) for edge in whole]

    for size in itertools.product(*lengths):
        at = most_striking(image, size)

        assert 0 <= at[0] <= whole[0] - size[0]
        assert 0 <= at[1] <= whole[1] - size[1]


def test_every_place_up_to_the_edges_can_be_the_best():
    image = Image.new("RGB", (600, 400), GREY)
    image.paste(photograph(40, 400), (560, 0))

    assert most_striking(image, (40, 400)) == (560, 0)
    assert most_striking(ImageOps.mirror(image), (40, 400)) == (0, 0)


def test_the_only_thing_there_is_kept_at_the_very_bottom():
    image = Image.new("RGB", (300, 900), GREY)
    ImageDraw.Draw(image).rectangle((0, 890, 300, 900), fill="red")

    assert most_striking(image, (300, 100)) == (0, 800)


def test_the_picture_is_left_as_it_was():
    image = photograph(200, 150).convert("RGBA")
    before = image.tobytes()

    first = most_striking(image, (50, 50))

    assert most_striking(image, (50, 50)) == first
    assert image.tobytes() == before


# What must be kept: left, top, right and bottom as shares.
FACE_OF_ASTRONAUT = (0.34, 0.05, 0.54, 0.36)
EYES_OF_CAT = (0.25, 0.2, 0.74, 0.56)
CUP = (0.3, 0.08, 0.68, 0.58)
ROCKET = (0.46, 0.25, 0.55, 0.83)
FACE_AND_CAMERA = (0.36, 0.18, 0.66, 0.42)
FACE_OF_ADMIRAL = (0.38, 0.22, 0.64, 0.48)


@pytest.mark.parametrize(
    ("name", "subject", "shape"),
    [
        ("astronaut.png", FACE_OF_ASTRONAUT, (0.3, 1)),
        ("astronaut.png", FACE_OF_ASTRONAUT, (1, 0.4)),
        ("astronaut.png", FACE_OF_ASTRONAUT, (0.4, 0.4)),
        ("chelsea.png", EYES_OF_CAT, (0.6, 1)),
        ("chelsea.png", EYES_OF_CAT, (1, 0.45)),
        ("coffee.png", CUP, (0.5, 1)),
        ("coffee.png", CUP, (1, 0.6)),
        ("rocket.jpg", ROCKET, (0.2, 1)),
        ("camera.png", FACE_AND_CAMERA, (0.4, 1)),
        ("camera.png", FACE_AND_CAMERA, (1, 0.4)),
        ("camera.png", FACE_AND_CAMERA, (0.5, 0.5)),
        ("grace_hopper.jpg", FACE_OF_ADMIRAL, (0.4, 1)),
        ("grace_hopper.jpg", FACE_OF_ADMIRAL, (1, 0.4)),
        ("grace_hopper.jpg", FACE_OF_ADMIRAL, (0.5, 0.5)),
    ],
)
def test_of_a_photograph_the_subject_is_kept(name, subject, shape):
    image = gallery.photograph(name)
    width, height = image.size
    size = round(width * shape[0]), round(height * shape[1])
    box = tuple(share * edge for share, edge in zip(subject, 2 * image.size, strict=True))

    assert share_within(box, most_striking(image, size), size) > 0.9
