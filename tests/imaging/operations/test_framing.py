"""Frames: which part is kept, what is put around it, and how it is turned."""

import itertools
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.operations import framing
from actors.imaging.operations.framing import Crop, Flip, Flop, Pad, Rotate, Trim
from actors.imaging.step import Direction, FocalPoint, Scene
from tests.imaging.operations.trials import MODES, SIZES, levels, noise, perform, shown

GRAVITIES: dict[Direction, tuple[float, float]] = {
    "northwest": (0, 0),
    "north": (0.5, 0),
    "northeast": (1, 0),
    "west": (0, 0.5),
    "center": (0.5, 0.5),
    "east": (1, 0.5),
    "southwest": (0, 1),
    "south": (0.5, 1),
    "southeast": (1, 1),
}


def unseen(width, height):
    """The size of a picture that nobody may look at."""
    return Scene((width, height), lambda: pytest.fail("this step has no need to look"))


def box_of(step, width, height):
    """The box of what `step` crops of a picture of this size."""
    (crop,) = step.resolve(unseen(width, height))
    assert isinstance(crop, Crop)
    assert crop.resolve(unseen(width, height)) == (crop,)
    return crop.box


def faulty(step):
    """The members at fault."""
    return [name for name, _ in step.faults()]


# Crop


@pytest.mark.parametrize("mode", MODES)
def test_a_crop_is_a_part_of_the_picture(mode):
    image = noise(mode, (33, 20))

    result = perform(Crop(x=3, y=5, width=11, height=7), image)

    assert result.mode == mode
    assert (levels(result) == levels(image)[5:12, 3:14]).all()


@pytest.mark.parametrize("size", SIZES)
def test_a_crop_of_everything_is_everything(size):
    image = noise("RGBA", size)

    result = perform(Crop(x=0, y=0, width="100%", height="100%"), image)

    assert (levels(result) == levels(image)).all()


@pytest.mark.parametrize(
    ("step", "box"),
    [
        (Crop(x="25%", y="50%", width="50%", height=10), (50, 50, 150, 60)),
        (Crop(x="0%", y=0, width=1, height="1.5%"), (0, 0, 1, 2)),
        (Crop(width="10%", height="10%"), (90, 45, 110, 55)),
        (Crop(width=200, height=100), (0, 0, 200, 100)),
        (Crop(aspect="1:1"), (50, 0, 150, 100)),
        (Crop(aspect="1:1", gravity="west"), (0, 0, 100, 100)),
        (Crop(aspect="4:1"), (0, 25, 200, 75)),
        (Crop(aspect="4:1", gravity="south"), (0, 50, 200, 100)),
        (Crop(aspect="2:1"), (0, 0, 200, 100)),
        (Crop(aspect="99999:1", gravity="north"), (0, 0, 200, 1)),
        (Crop(aspect="1:99999", gravity="east"), (199, 0, 200, 100)),
        (Crop(width=20, height=20, gravity=FocalPoint(0.25, 0.5)), (40, 40, 60, 60)),
        (Crop(width=20, height=20, gravity=FocalPoint(0, 1)), (0, 80, 20, 100)),
        (Crop(width=20, height=20, gravity=FocalPoint(0.99, 0.01)), (180, 0, 200, 20)),
    ],
    ids=str,
)
def test_a_crop_in_whole_pixels(step, box):
    assert box_of(step, 200, 100) == box


@pytest.mark.parametrize("gravity", GRAVITIES)
def test_a_crop_by_gravity(gravity):
    left, top, right, bottom = box_of(Crop(width=50, height=40, gravity=gravity), 150, 100)

    pull_x, pull_y = GRAVITIES[gravity]
    assert (left, top) == (100 * pull_x, 60 * pull_y)
    assert (right - left, bottom - top) == (50, 40)


@pytest.mark.parametrize("edge", range(1, 100))
def test_two_halves_are_a_whole_even_if_it_is_odd(edge):
    first = box_of(Crop(x=0, y=0, width="50%", height="100%"), edge, 7)
    second = box_of(Crop(x="50%", y=0, width="50%", height="100%"), edge, 7)

    assert first == (0, 0, (edge + 1) // 2, 7)
    assert second == (edge // 2, 0, edge, 7)


@pytest.mark.parametrize("edge", range(1, 100))
def test_two_halves_by_gravity_are_a_whole_as_well(edge):
    west = box_of(Crop(width="50%", height="100%", gravity="west"), edge, 7)
    east = box_of(Crop(width="50%", height="100%", gravity="east"), edge, 7)

    assert (west[0], east[2]) == (0, edge)
    assert west[2] >= east[0]


shares = st.integers(0, 1_000_000).map(lambda number: Decimal(number) / 10_000)


@settings(deadline=None, derandomize=True, database=None)
@given(shares, shares, st.integers(1, 3000))
def test_shares_that_fit_into_a_picture_fit_into_every_picture(start, length, edge):
    assume(start + length <= 100)
    assume(edge * length / 100 >= Decimal("0.5"))
    crop = Crop(x=f"{start:f}%", y=0, width=f"{length:f}%", height=1)

    left, _, right, _ = box_of(crop, edge, 1)

    assert 0 <= left < right <= edge
    assert abs(left - edge * float(start) / 100) <= 1.001
    assert abs(right - left - edge * float(length) / 100) <= 0.501


@pytest.mark.parametrize(
    "step",
    [
        Crop(x=0, y=0, width=9, height=8),
        Crop(x=0, y=0, width=8, height=9),
        Crop(x=1, y=0, width=8, height=8),
        Crop(x=0, y=8, width=1, height=1),
        Crop(x="60%", y=0, width="50%", height=1),
        Crop(x=0, y=0, width="110%", height=8),
        Crop(x="900%", y=0, width=1, height=1),
        Crop(width=9, height=1),
        Crop(width="200%", height=1, gravity="smart"),
        Crop(width="0%", height=1),
        Crop(width="1%", height=1),
    ],
    ids=str,
)
def test_a_part_that_is_not_in_the_picture_is_impossible(step):
    with pytest.raises(ImpossibleRecipe, match=r"^a part of .* is not in a picture of 8 x 8$"):
        step.resolve(unseen(8, 8))


def test_only_a_smart_crop_looks(monkeypatch):
    asked = []

    def most_striking(image, size):
        asked.append((image, size))
        return 7, 4

    monkeypatch.setattr(framing, "most_striking", most_striking)
    image = noise("RGB", (33, 20))

    result = perform(Crop(width=11, height="50%", gravity="smart"), image)

    assert Crop(width=1, height=1, gravity="smart").looks
    assert not Crop(width=1, height=1).looks
    assert asked == [(image, (11, 10))]
    assert (levels(result) == levels(image)[4:14, 7:18]).all()


@pytest.mark.parametrize(
    ("step", "names"),
    [
        (Crop(x=1, y=1, width=1, height=1), []),
        (Crop(width=1, height=1, gravity="smart"), []),
        (Crop(aspect="1:1", gravity=FocalPoint(0.5, 0.5)), []),
        (Crop(), ["width", "height"]),
        (Crop(width=1), ["height"]),
        (Crop(x=1, width=1, height=1), ["y"]),
        (Crop(y=0, width=1, height=1), ["x"]),
        (Crop(x=0, y=0), ["width", "height"]),
        (Crop(x=0, y=0, width=1, height=1, gravity="north"), ["gravity"]),
        (Crop(aspect="1:1", width=1), ["width"]),
        (Crop(aspect="1:1", x=0, y=0, width=1, height=1), ["x", "y", "width", "height"]),
    ],
    ids=str,
)
def test_the_members_of_a_crop_must_go_together(step, names):
    assert faulty(step) == names


# Trim


def on_paper(mode, paper, ink=None):
    """A picture of 33 x 20 with something at 5, 3 that is 11 x 7 pixels large."""
    image = Image.new(mode, (33, 20), paper)
    image.paste(noise(mode, (11, 7)) if ink is None else ink, (5, 3, 16, 10))
    return image


@pytest.mark.parametrize(
    ("mode", "paper", "ink"),
    [
        ("L", 255, 0),
        ("L", 0, 255),
        ("LA", (200, 255), (0, 255)),
        ("LA", (200, 255), (200, 90)),
        ("RGB", (10, 20, 30), (10, 20, 60)),
        ("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0, 0)),
        ("RGBA", (255, 0, 0, 128), (0, 0, 255, 128)),
    ],
)
def test_trim_cuts_the_border_away(mode, paper, ink):
    image = on_paper(mode, paper, ink)

    result = perform(Trim(), image)

    assert Trim().looks
    assert result.size == (11, 7)
    assert (levels(result) == ink).all()


@pytest.mark.parametrize(("threshold", "expected"), [(0, (11, 7)), (19, (11, 7)), (20, (33, 20))])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_what_differs_by_no_more_than_the_threshold_is_border(threshold, expected, channel):
    ink = [100, 100, 100]
    ink[channel] += 20

    result = perform(Trim(threshold), on_paper("RGB", (100, 100, 100), tuple(ink)))

    # All of it is border then, and stays.
    assert result.size == expected


def test_colours_that_nobody_sees_make_no_difference():
    image = noise("RGBA", (33, 20))
    image.putalpha(0)
    image.paste((9, 9, 9, 255), (5, 3, 16, 10))

    assert perform(Trim(0), image).size == (11, 7)


def test_a_border_can_have_a_colour_that_the_corner_has_not():
    image = on_paper("RGB", (255, 255, 255), (0, 0, 200))
    image.putpixel((0, 0), (0, 0, 0))

    assert perform(Trim(0), image).size == (33, 20)
    assert perform(Trim(0, "white"), image).size == (16, 10)
    assert perform(Trim(0, "red"), image).size == (33, 20)
    assert perform(Trim(0, "transparent"), image).size == (33, 20)
    assert perform(Trim(0, "#0000c8"), image.crop((5, 3, 17, 11))).size == (12, 8)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (7, 1), (33, 20)])
def test_a_picture_of_one_colour_stays_as_it_is(mode, size):
    image = Image.new(mode, size, "teal")

    assert perform(Trim(0), image) is image
    assert perform(Trim(255), noise(mode, size)).size == size


# Pad


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("background", ["transparent", "white", "#336699", "#33669980"])
def test_a_margin_is_background_and_the_picture_stays_in_it_as_it_was(mode, background):
    image = noise(mode, (9, 5))
    colour = {
        "transparent": (0, 0, 0, 0),
        "white": (255, 255, 255, 255),
        "#336699": (51, 102, 153, 255),
        "#33669980": (51, 102, 153, 128),
    }[background]

    result = perform(Pad(top=2, right=3, bottom=1, left=4, background=background), image)

    expected = np.full((8, 16, 4), colour)
    expected[2:7, 4:13] = shown(image)
    assert (shown(result) == expected).all()


@pytest.mark.parametrize(
    ("step", "size", "left_top"),
    [
        (Pad(top=3), (40, 23), (0, 3)),
        (Pad(left="10%", bottom="10%"), (44, 22), (4, 0)),
        (Pad(right=16384), (16424, 20), (0, 0)),
        (Pad(width=50, height=40), (50, 40), (5, 10)),
        (Pad(width=50), (50, 20), (5, 0)),
        (Pad(height="200%"), (40, 40), (0, 10)),
        (Pad(width=10, height=10), (40, 20), (0, 0)),
        (Pad(width=10, height=30), (40, 30), (0, 5)),
        (Pad(top=0), (40, 20), (0, 0)),
        *(
            (Pad(width=60, height=60, gravity=each), (60, 60), (20 * x, 40 * y))
            for each, (x, y) in GRAVITIES.items()
        ),
    ],
    ids=str,
)
def test_where_a_padded_picture_is(step, size, left_top):
    result = perform(step, Image.new("L", (40, 20), 90))

    assert result.size == size
    assert result.getbbox() == (*left_top, left_top[0] + 40, left_top[1] + 20)


@pytest.mark.parametrize(
    ("mode", "background", "expected"),
    [
        ("L", "transparent", "LA"),
        ("L", "gray", "L"),
        ("L", "#80808080", "LA"),
        ("L", "red", "RGB"),
        ("L", "#ff000080", "RGBA"),
        ("LA", "white", "LA"),
        ("LA", "red", "RGBA"),
        ("RGB", "white", "RGB"),
        ("RGB", "transparent", "RGBA"),
        ("RGBA", "white", "RGBA"),
    ],
)
@pytest.mark.parametrize("kind", [Pad(top=1), Rotate(30)])
def test_there_are_as_many_channels_as_it_takes(kind, mode, background, expected):
    step = msgspec.structs.replace(kind, background=background)

    assert perform(step, noise(mode, (9, 9))).mode == expected


@pytest.mark.parametrize(
    ("step", "names"),
    [
        (Pad(top=0), []),
        (Pad(height=1), []),
        (Pad(top=1, right=1, bottom=1, left=1, background="red"), []),
        (Pad(), ["top"]),
        (Pad(gravity="north"), ["top"]),
        (Pad(width=1, top=0), ["top"]),
        (Pad(height=1, left=1, right=1), ["right", "left"]),
    ],
    ids=str,
)
def test_the_members_of_a_pad_must_go_together(step, names):
    assert faulty(step) == names


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


# What is no frame


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (Crop, '"width":0'),
        (Crop, '"width":16385'),
        (Crop, '"x":-1'),
        (Crop, '"width":"50"'),
        (Crop, '"width":"-5%"'),
        (Crop, '"aspect":"16/9"'),
        (Crop, '"aspect":"0:9"'),
        (Crop, '"gravity":"middle"'),
        (Crop, '"gravity":{"x":1.5,"y":0}'),
        (Crop, '"gravity":{"x":0.5}'),
        (Trim, '"threshold":256'),
        (Trim, '"threshold":-1'),
        (Trim, '"background":"whitish"'),
        (Pad, '"top":-1'),
        (Pad, '"gravity":"smart"'),
        (Pad, '"width":0'),
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
