"""How a picture is turned."""

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from actors.imaging.operations.turning import Flip, Flop, Rotate
from tests.imaging.operations.trials import (
    MODES,
    SIZES,
    levels,
    noise,
    perform,
    shown,
)

# Rotate


def places(size, canvas, angle):
    """Where in a picture of `size` each pixel of a canvas is, when it was turned clockwise."""
    turn = np.deg2rad(angle)
    x = np.arange(canvas[0])[None, :] + 0.5 - canvas[0] / 2
    y = np.arange(canvas[1])[:, None] + 0.5 - canvas[1] / 2
    return (
        x * np.cos(turn) + y * np.sin(turn) + size[0] / 2,
        y * np.cos(turn) - x * np.sin(turn) + size[1] / 2,
    )


def coverage(size, canvas, angle, grid=8):
    """How much of each pixel of a canvas is covered, from a grid of points in each."""
    fine = canvas[0] * grid, canvas[1] * grid
    x, y = places((size[0] * grid, size[1] * grid), fine, angle)
    inside = (x >= 0) & (x <= size[0] * grid) & (y >= 0) & (y <= size[1] * grid)
    return inside.reshape(canvas[1], grid, canvas[0], grid).mean(axis=(1, 3))


ANGLES = [-300, -91, -45, -0.5, 0.01, 3, 30, 45, 89.5, 123.4, 180.5, 300, 359]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [*SIZES, (20, 33)])
@pytest.mark.parametrize("angle", [-360, -270, -180, -90, 0, 90, 180, 270, 360])
def test_quarter_turns_lose_nothing(mode, size, angle):
    image = noise(mode, size)

    result = perform(Rotate(angle), image)

    assert result.mode == mode
    assert (levels(result) == np.rot90(levels(image), -angle // 90)).all()


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("size", [(60, 40), (31, 50)])
def test_a_picture_is_turned_clockwise_about_its_middle(size, angle):
    x, y = np.arange(size[0])[None, :] + 0.5, np.arange(size[1])[:, None] + 0.5
    image = Image.fromarray((20 + x + 3 * y).astype(np.uint8))

    result = perform(Rotate(angle), image)

    x, y = places(size, result.size, angle)
    within = (x > 2) & (x < size[0] - 2) & (y > 2) & (y < size[1] - 2)
    assert within.any()
    assert np.abs(levels(result)[..., 0] - (19.5 + x + 3 * y))[within].max() <= 1.5
    assert (levels(result)[within][:, 1] == 255).all()


def test_a_large_picture_is_turned_as_a_small_one():
    size = (2100, 2000)
    x, y = np.arange(size[0])[None, :] + 0.5, np.arange(size[1])[:, None] + 0.5
    image = Image.fromarray(((x + y) / 20).astype(np.uint8))

    result = perform(Rotate(20, "white"), image)

    x, y = places(size, result.size, 20)
    within = (x > 2) & (x < size[0] - 2) & (y > 2) & (y < size[1] - 2)
    assert np.abs(levels(result)[..., 0] - (x + y) / 20)[within].max() <= 1.5
    outside = (x < -2) | (x > size[0] + 2) | (y < -2) | (y > size[1] + 2)
    assert (levels(result)[outside] == 255).all()


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 40), (33, 20)])
def test_its_edges_are_soft(size, angle):
    result = perform(Rotate(angle), Image.new("RGB", size, "white"))

    alpha = levels(result)[..., 3] / 255
    exact = coverage(size, result.size, angle)
    assert np.abs(alpha - exact).max() <= 0.25
    assert np.abs(alpha - exact).mean() <= 0.1
    assert alpha.sum() == pytest.approx(size[0] * size[1], rel=0.12, abs=0.3)


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("mode", MODES)
def test_no_seam_shows_where_picture_and_background_are_of_one_colour(mode, angle):
    colour = (120, 120, 120, 255) if mode in {"L", "LA"} else (100, 150, 200, 255)
    image = Image.new("RGBA", (33, 20), colour).convert(mode)
    name = "#{:02x}{:02x}{:02x}".format(*colour[:3])

    result = perform(Rotate(angle, name), image)

    assert np.abs(shown(result) - colour).max() <= 1


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_an_edge_beside_nothing_has_no_fringe(mode, angle):
    image = Image.new(mode, (33, 20), (100, 150, 200))

    result = levels(perform(Rotate(angle), image)).reshape(-1, 4)

    seen = result[result[:, 3] > 0]
    # Faint pixels cannot hold a colour more exactly.
    error = np.abs(seen[:, :3] - (100, 150, 200)).max(axis=1)
    assert (error <= 1 + 128 / seen[:, 3]).all()


@pytest.mark.parametrize("angle", [-300, -45, 30, 45, 123.4])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("background", ["transparent", "black", "#336699", "#33669980"])
def test_the_corners_are_background(background, mode, angle):
    colour = {
        "transparent": (0, 0, 0, 0),
        "black": (0, 0, 0, 255),
        "#336699": (51, 102, 153, 255),
        "#33669980": (51, 102, 153, 128),
    }[background]

    result = shown(perform(Rotate(angle, background), noise(mode, (33, 20))))

    for x, y in itertools.product((0, -1), (0, -1)):
        assert np.abs(result[y, x] - colour).max() <= (1 if colour[3] == 128 else 0)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_stays_so_and_has_no_colour(mode):
    image = noise(mode, (60, 60))
    image.putalpha(0)
    image.paste(Image.new(mode, (60, 30), "white"), (0, 0))

    result = shown(perform(Rotate(30, "white"), image))

    assert (result[55, 26] == [0, 0, 0, 0]).all()
    assert (result[result[..., 3] > 0][:, :3] == 255).all()


edges = st.integers(1, 40)


@settings(deadline=None, derandomize=True, database=None, max_examples=300)
@given(
    edges,
    edges,
    st.floats(-360, 360) | st.integers(-24, 24).map(lambda number: number * 15.0),
    st.sampled_from(MODES),
)
def test_the_canvas_is_as_large_as_was_foreseen_and_just_large_enough(width, height, angle, mode):
    step = Rotate(angle)

    result = step.apply(Image.new(mode, (width, height)))

    turn = np.deg2rad(angle)
    across = width * abs(np.cos(turn)) + height * abs(np.sin(turn))
    down = width * abs(np.sin(turn)) + height * abs(np.cos(turn))
    assert result.size == step.size_after((width, height))
    assert -0.001 < result.width - across < 1
    assert -0.001 < result.height - down < 1


@pytest.mark.parametrize("angle", [1e-9, -1e-9, 90 + 1e-9, 180 - 1e-9, 359.9999999])
def test_the_errors_of_arithmetic_add_no_pixels(angle):
    expected = (300, 400) if 80 < angle < 100 else (400, 300)

    assert Rotate(angle).size_after((400, 300)) == expected


# Flip and flop


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES)
def test_flip_and_flop(mode, size):
    image = noise(mode, size)

    flipped, flopped = perform(Flip(), image), perform(Flop(), image)

    assert flipped.mode == flopped.mode == mode
    assert (levels(flipped) == levels(image)[::-1]).all()
    assert (levels(flopped) == levels(image)[:, ::-1]).all()


# What is none


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (Rotate, '"angle":361'),
        (Rotate, '"angle":"90"'),
        (Rotate, '"background":"red"'),
        (Flip, '"angle":90'),
    ],
)
def test_what_is_out_of_range_is_refused(kind, members):
    name = kind.__name__.lower()

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"op":"{name}",{members}}}', type=kind)
