"""Sizes: what a recipe asks for in whole pixels, and that the pixels are right."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from actors.imaging.operations import cropping
from actors.imaging.operations.cropping import Crop
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize, Scale, Thumbnail
from actors.imaging.step import FocalPoint, Scene
from tests.imaging.operations.trials import (
    MODES,
    faulty,
    levels,
    noise,
    perform,
    premultiplied,
    shown,
)
from tests.imaging.pictures import BLUE, GREEN, RED, WHITE, photograph, quarters

FITS = ["fill", "cover", "contain", "inside", "outside"]


def way(step, size):
    """The sizes that a picture of `size` has on its way through `step`."""
    sizes: list[tuple[int, int]] = []
    parts = step.resolve(Scene(size, lambda: pytest.fail("this step has no need to look")))
    for part in parts:
        passed = [part.size_after(size)] if parts == (step,) else way(part, size)
        sizes += passed
        size = passed[-1]
    return sizes


# Sizes


@pytest.mark.parametrize(
    ("step", "sizes"),
    [
        (Resize(200, 200), [(200, 200)]),
        (Resize(200, 200, "cover"), [(267, 200), (200, 200)]),
        (Resize(200, 200, "contain"), [(200, 150), (200, 200)]),
        (Resize(200, 200, "inside"), [(200, 150)]),
        (Resize(200, 200, "outside"), [(267, 200)]),
        (Resize(800, 100), [(800, 100)]),
        (Resize(800, 100, "cover"), [(800, 600), (800, 100)]),
        (Resize(800, 100, "contain"), [(133, 100), (800, 100)]),
        (Resize(800, 100, "inside"), [(133, 100)]),
        (Resize(800, 100, "outside"), [(800, 600)]),
        (Resize(800, 100, enlarge=False), [(400, 100)]),
        (Resize(800, 100, "cover", enlarge=False), [(400, 300), (400, 100)]),
        (Resize(800, 100, "contain", enlarge=False), [(133, 100), (800, 100)]),
        (Resize(800, 600, "inside", enlarge=False), [(400, 300)]),
        (Resize(200, 600, "outside", enlarge=False), [(400, 300)]),
        (Resize(800, 600, "cover", enlarge=False), [(400, 300), (400, 300)]),
        (Resize(4000, 10, "cover"), [(400, 1), (4000, 10)]),
        (Resize(800, 600, "contain", enlarge=False), [(400, 300), (800, 600)]),
        (Resize("50%", "50%"), [(200, 150)]),
        (Resize("50%", 300), [(200, 300)]),
        (Resize("0%", "0.1%"), [(1, 1)]),
        (Resize("150%", "150%", "cover", enlarge=False), [(400, 300), (400, 300)]),
        (Resize(100, 100, dpr=2), [(200, 200)]),
        (Resize(100, 100, "inside", dpr=1.5), [(150, 113)]),
        (Resize("50%", "50%", dpr=4), [(800, 600)]),
        (Resize(300, 300, dpr=2, enlarge=False), [(400, 300)]),
        (Resize(101, dpr=1.5), [(152, 114)]),
        (Resize(4096, 1, dpr=4), [(16384, 4)]),
        (Thumbnail(200, 200), [(200, 150)]),
        (Thumbnail(800, 800), [(800, 600)]),
        (Thumbnail(800, 800, enlarge=False), [(400, 300)]),
        (Thumbnail("10%", "50%"), [(40, 30)]),
        (Thumbnail("0%", "0%"), [(1, 1)]),
        (Thumbnail(1, 4096), [(1, 1)]),
        (Scale(0.5), [(200, 150)]),
        (Scale(1), [(400, 300)]),
        (Scale(16), [(6400, 4800)]),
        (Scale(0.0001), [(1, 1)]),
        (Scale(1.006), [(402, 302)]),
    ],
    ids=str,
)
def test_sizes(step, sizes):
    assert way(step, (400, 300)) == sizes


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("size", "step", "expected"),
    [
        ((400, 300), Resize(width=200), (200, 150)),
        ((400, 300), Resize(height=200), (267, 200)),
        ((400, 300), Resize(width="50%"), (200, 150)),
        ((400, 300), Resize(height="150%"), (600, 450)),
        ((400, 300), Resize(width=100, dpr=3), (300, 225)),
        ((400, 300), Resize(width=800, enlarge=False), (400, 300)),
        ((400, 300), Resize(height=100, enlarge=False), (133, 100)),
        ((10, 1), Resize(width=14), (14, 1)),
        ((10, 1), Resize(width=15), (15, 2)),
        ((10, 1), Resize(width=16), (16, 2)),
        ((1, 10), Resize(height=14), (1, 14)),
        ((1000, 3), Resize(width=100), (100, 1)),
        ((3, 1000), Resize(height=100), (1, 100)),
        ((1, 1), Resize(height=9), (9, 9)),
    ],
    ids=str,
)
def test_with_one_length_the_other_follows_whatever_the_fit(fit, size, step, expected):
    assert way(msgspec.structs.replace(step, fit=fit), size)[-1] == expected


edges = st.integers(1, 5000)
lengths = st.integers(1, 4096)


@settings(deadline=None, derandomize=True, database=None)
@given(edges, edges, lengths, lengths, st.booleans())
def test_fits_keep_their_promises(across, down, width, height, enlarge):
    size = across, down

    def final(fit):
        return way(Resize(width, height, fit, enlarge=enlarge), size)[-1]

    cut = (width, height) if enlarge else (min(width, across), min(height, down))
    assert final("fill") == final("cover") == cut
    assert final("contain") == (width, height)
    inside, outside = final("inside"), final("outside")
    assert inside[0] <= width
    assert inside[1] <= height
    assert outside[0] >= cut[0]
    assert outside[1] >= cut[1]
    for other in (inside, outside):
        assert enlarge or other[0] <= across
        assert enlarge or other[1] <= down
        # The proportions are kept to half a pixel, and no edge is less than one.
        exact = other[0] * down / across, other[1] * across / down
        assert abs(other[1] - exact[0]) <= 0.5 or abs(other[0] - exact[1]) <= 0.5 or 1 in other


@settings(deadline=None, derandomize=True, database=None)
@given(edges, edges, st.floats(0.001, 16))
def test_a_scaled_edge_is_as_long_as_its_factor_says(across, down, factor):
    ((width, height),) = way(Scale(factor), (across, down))

    assert abs(width - max(1, across * factor)) <= 0.5
    assert abs(height - max(1, down * factor)) <= 0.5


def test_what_is_in_whole_pixels_already_stays_itself():
    step = Resize(30, 20)

    assert step.resolve(Scene((9, 9), lambda: Image.new("L", (9, 9)))) == (step,)


def test_a_cover_is_cut_and_a_contained_picture_padded_as_was_asked_for():
    scene = Scene((400, 300), lambda: Image.new("L", (400, 300)))

    cover = Resize(200, 200, "cover", gravity=FocalPoint(0.1, 0.9)).resolve(scene)
    contain = Resize(200, 200, "contain", gravity="south", background="red").resolve(scene)

    assert cover == (
        Resize(267, 200),
        Crop(width=200, height=200, gravity=FocalPoint(0.1, 0.9)),
    )
    assert contain == (
        Resize(200, 150),
        Pad(width=200, height=200, gravity="south", background="red"),
    )


def test_a_smart_cover_looks_once_it_is_scaled(monkeypatch):
    asked = []

    def most_striking(image, size):
        asked.append((image.size, size))
        return 60, 0

    monkeypatch.setattr(cropping, "most_striking", most_striking)

    result = perform(Resize(50, 50, "cover", gravity="smart"), quarters(400, 100))

    assert asked == [((200, 50), (50, 50))]
    assert result.size == (50, 50)
    assert result.getpixel((20, 10)) == RED
    assert result.getpixel((45, 10)) == GREEN
    assert not Resize(50, 50, "cover", gravity="smart").looks


@pytest.mark.parametrize(
    ("step", "names"),
    [
        (Resize(1, 1), []),
        (Resize(height=1, fit="cover", gravity="smart"), []),
        (Resize(1, 1, "contain", gravity="southeast"), []),
        (Resize(), ["width"]),
        (Resize(fit="cover"), ["width"]),
        (Resize(1, 1, "contain", gravity="smart"), ["gravity"]),
        (Resize(1, 1, "contain", gravity=FocalPoint(0, 0)), ["gravity"]),
        (Thumbnail(1, 1), []),
        (Scale(1), []),
    ],
    ids=str,
)
def test_the_members_of_a_resize_must_go_together(step, names):
    assert faulty(step) == names


# Pixels


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 30), (7, 5), (200, 3), (33, 20)])
def test_the_mode_stays_and_the_size_is_what_was_asked_for(mode, size):
    result = perform(Resize(*size), noise(mode, (33, 20)))

    assert (result.mode, result.size) == (mode, size)


@pytest.mark.parametrize("mode", MODES)
def test_the_size_it_has_already_changes_nothing(mode):
    image = noise(mode, (33, 20))

    for step in (Resize(33, 20), Resize("100%", "100%", "cover"), Thumbnail(33, 90), Scale(1)):
        assert (levels(perform(step, image)) == levels(image)).all()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_reduced_picture_is_the_average_of_what_it_covers(mode):
    image = photograph(640, 480).convert(mode)
    exact = levels(image).reshape(60, 8, 80, 8, -1).mean(axis=(1, 3))

    difference = levels(perform(Resize(80, 60), image)) - exact

    assert np.abs(difference).mean() < 4
    assert np.abs(difference.mean(axis=(0, 1))).max() < 1


@pytest.mark.parametrize("size", [(9, 7), (33, 20), (150, 90)])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_colour_beside_nothing_fades_and_does_not_darken(mode, size):
    image = Image.new(mode, (40, 30), 0)
    image.paste(Image.new(mode, (20, 17), "white"), (10, 5))
    hidden = Image.new(mode, (40, 30), "white")
    hidden.putalpha(image.getchannel("A"))

    result, other = perform(Resize(*size), image), perform(Resize(*size), hidden)

    seen = shown(result)[shown(result)[..., 3] > 0]
    assert (seen[:, :3] == 255).all()
    assert (premultiplied(result) == premultiplied(other)).all()


@pytest.mark.parametrize(
    ("gravity", "colours"),
    [
        ("west", [RED, RED, BLUE, BLUE]),
        ("east", [GREEN, GREEN, WHITE, WHITE]),
        ("center", [RED, GREEN, BLUE, WHITE]),
        (FocalPoint(0.2, 0.5), [RED, RED, BLUE, BLUE]),
        (FocalPoint(0.5, 0.5), [RED, GREEN, BLUE, WHITE]),
    ],
    ids=str,
)
def test_a_cover_keeps_what_gravity_pulls_at(gravity, colours):
    result = perform(Resize(50, 100, "cover", gravity=gravity), quarters(400, 200))

    corners = [result.getpixel(corner) for corner in ((5, 5), (44, 5), (5, 94), (44, 94))]
    assert result.size == (50, 100)
    assert corners == colours


def test_a_contained_picture_has_a_margin_of_the_background():
    result = perform(Resize(40, 60, "contain", background="#ff8000"), Image.new("RGB", (80, 80)))

    expected = np.full((60, 40, 3), (255, 128, 0))
    expected[10:50] = 0
    assert (levels(result) == expected).all()


def test_a_contained_picture_has_a_transparent_margin_unless_told_otherwise():
    result = perform(Resize(40, 60, "contain", gravity="north"), Image.new("L", (80, 80), 9))

    assert result.mode == "LA"
    assert (levels(result)[:40] == (9, 255)).all()
    assert (levels(result)[40:] == 0).all()


# What is no size


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (Resize, '"width":0'),
        (Resize, '"width":4097'),
        (Resize, '"width":1.5'),
        (Resize, '"width":true'),
        (Resize, '"width":"1"'),
        (Resize, '"width":"1000%"'),
        (Resize, '"width":1,"fit":"stretch"'),
        (Resize, '"width":1,"dpr":0.5'),
        (Resize, '"width":1,"dpr":4.1'),
        (Resize, '"width":1,"enlarge":1'),
        (Resize, '"width":1,"depth":1'),
        (Thumbnail, '"width":1'),
        (Thumbnail, '"width":1,"height":1,"fit":"fill"'),
        (Scale, '"factor":0'),
        (Scale, '"factor":16.1'),
        (Scale, '"factor":"50%"'),
    ],
)
def test_what_is_out_of_range_is_refused(kind, members):
    name = kind.__name__.lower()

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"op":"{name}",{members}}}', type=kind)
