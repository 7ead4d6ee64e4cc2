"""Which part is kept."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.operations import cropping
from actors.imaging.operations.cropping import Crop, Trim
from actors.imaging.step import FocalPoint
from tests.imaging.operations.trials import (
    GRAVITIES,
    MODES,
    SIZES,
    faulty,
    levels,
    noise,
    perform,
    unseen,
)


def box_of(step, width, height):
    """The box of what `step` crops of a picture of this size."""
    (crop,) = step.resolve(unseen(width, height))
    assert isinstance(crop, Crop)
    assert crop.resolve(unseen(width, height)) == (crop,)
    return crop.box


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

    monkeypatch.setattr(cropping, "most_striking", most_striking)
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


# What is none


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
    ],
)
def test_what_is_out_of_range_is_refused(kind, members):
    name = kind.__name__.lower()

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"op":"{name}",{members}}}', type=kind)
