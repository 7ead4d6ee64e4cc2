"""Marks over a picture: which ones, where, how large, how strong, and in which script."""

import msgspec
import numpy as np
import pytest
from PIL import Image, features

from actors.imaging.album import Album
from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.facts import DEFAULT_LIMITS
from actors.imaging.operations.watermark import Watermark
from actors.imaging.step import Scene
from tests.imaging.pictures import BLUE, GREEN, RED, exif, photograph, quarters, written

MODES = ["L", "LA", "RGB", "RGBA"]
GREY: dict[str, float | tuple[float, ...]] = {
    "L": 90,
    "LA": (90, 255),
    "RGB": (90, 90, 90),
    "RGBA": (90, 90, 90, 255),
}
CORNERS = {
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
# A glyph that is nothing but ink.
BLOCK = "█"

needs_raqm = pytest.mark.skipif(not features.check("raqm"), reason="Pillow has no Raqm")


def perform(step, image, mark=None):
    """What `step` makes of `image`, which it must leave alone."""
    assert tuple(step.faults()) == ()
    before = image.tobytes()
    scene = Scene(image.size, image.copy)
    (resolved,) = step.resolve(scene)
    assert resolved.resolve(scene) == (resolved,)
    apply = resolved.prepare(
        image.size, Album(dict.fromkeys(resolved.needs(), mark), DEFAULT_LIMITS)
    )
    result = apply(image)
    assert image.tobytes() == before
    assert result.mode in MODES
    assert result.size == image.size
    assert apply(image).tobytes() == result.tobytes()
    return result


def shown(image):
    """Red, green, blue and alpha as signed integers."""
    return np.asarray(image.convert("RGBA")).astype(int)


def stamp(size=(6, 4), color=RED):
    """A small image file of one colour."""
    return written(Image.new("RGB", size, color), "png")


def box_of(seen):
    """Left, top, right and bottom of what is true."""
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def ink(text, **options):
    """The ink of `text`, from 0 to 255, cut out as it was put on a large black picture."""
    step = Watermark(text=text, **{"font_size": 40} | options)
    drawn = shown(perform(step, Image.new("RGB", (900, 400))))[..., 0]
    left, top, right, bottom = box_of(drawn > 0)
    return drawn[top:bottom, left:right]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gravity", CORNERS)
@pytest.mark.parametrize("size", [(40, 30), (41, 33), (6, 4)])
def test_an_image_is_put_where_gravity_draws_it(mode, gravity, size):
    result = shown(perform(Watermark(image="a", gravity=gravity), Image.new(mode, size), stamp()))

    red = (result == (*RED, 255)).all(axis=-1)
    pull_x, pull_y = CORNERS[gravity]
    x, y = int((size[0] - 6) * pull_x), int((size[1] - 4) * pull_y)
    assert box_of(red) == (x, y, x + 6, y + 4)
    assert red.sum() == 24
    assert (result[~red] == shown(Image.new(mode, (1, 1)))[0, 0]).all()


@pytest.mark.parametrize(
    ("gravity", "dx", "dy", "at"),
    [
        ("northwest", 3, 5, (3, 5)),
        ("southeast", 3, 5, (91, 41)),
        ("northeast", "10%", "20%", (84, 10)),
        ("southwest", "10%", "20%", (10, 36)),
        ("center", 3, 5, (50, 28)),
        ("north", 3, 5, (50, 5)),
        ("east", 3, 5, (91, 28)),
        ("southeast", 16384, "100%", (0, 0)),
        ("northwest", 16384, "100%", (94, 46)),
    ],
)
def test_an_offset_leads_inward_and_never_out(gravity, dx, dy, at):
    step = Watermark(image="a", gravity=gravity, dx=dx, dy=dy)

    result = shown(perform(step, Image.new("RGB", (100, 50)), stamp()))

    assert box_of(result[..., 0] == 255) == (*at, at[0] + 6, at[1] + 4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("opacity", [0, 0.25, 1])
def test_a_mark_covers_as_much_as_its_opacity_says(mode, opacity):
    half = written(Image.new("RGBA", (6, 4), (200, 0, 100, 128)), "png")
    ground = Image.new(mode, (10, 10), GREY[mode])

    result = shown(perform(Watermark(image="a", opacity=opacity, gravity="west"), ground, half))

    share = opacity * 128 / 255
    expected = [share * level + (1 - share) * 90 for level in (200, 0, 100)]
    assert np.abs(result[3:7, :6, :3] - expected).max() <= 1
    assert (result[..., 3] == 255).all()
    assert (result[:3] == (90, 90, 90, 255)).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_mark_on_nothing_is_as_opaque_as_it_is_itself(mode):
    ground = Image.new(mode, (10, 10), 0)

    result = shown(perform(Watermark(image="a", opacity=0.5), ground, stamp()))

    assert (result[3:7, 2:8] == (255, 0, 0, 128)).all()
    assert (result[:3] == 0).all()


def test_a_grey_picture_stays_grey_under_a_grey_mark():
    ground = Image.new("L", (40, 40))
    grey = written(Image.new("L", (4, 4), 200), "png")

    assert perform(Watermark(image="a"), ground, grey).mode == "L"
    assert perform(Watermark(image="a"), ground, stamp()).mode == "RGB"
    assert perform(Watermark(text="a"), ground).mode == "L"
    assert perform(Watermark(text="a", color="red"), ground.convert("LA")).mode == "RGBA"


@pytest.mark.parametrize(
    ("scale", "mark", "size", "expected"),
    [
        (None, (6, 4), (100, 50), (6, 4)),
        (None, (300, 100), (100, 50), (100, 33)),
        (None, (100, 300), (100, 50), (17, 50)),
        (0.5, (6, 4), (100, 50), (50, 33)),
        (0.5, (200, 20), (100, 50), (50, 5)),
        (1, (10, 10), (100, 50), (50, 50)),
        (1, (1, 1), (1, 1), (1, 1)),
        (0.001, (500, 1), (30, 30), (1, 1)),
    ],
)
def test_an_image_is_as_large_as_scale_says_but_not_larger_than_the_picture(
    scale, mark, size, expected
):
    step = Watermark(image="a", scale=scale, gravity="northwest")

    result = shown(perform(step, Image.new("RGB", size), stamp(mark)))

    assert box_of(result[..., 0] > 128) == (0, 0, *expected)


@pytest.mark.parametrize(
    ("angle", "colours"),
    [
        (0, (RED, GREEN, BLUE)),
        (90, (BLUE, RED, None)),
        (-270, (BLUE, RED, None)),
        (180, (None, BLUE, GREEN)),
        (270, (GREEN, None, RED)),
        (360, (RED, GREEN, BLUE)),
    ],
)
def test_a_mark_is_turned_clockwise(angle, colours):
    mark = written(quarters(20, 20), "png")

    result = shown(perform(Watermark(image="a", angle=angle), Image.new("RGB", (40, 40)), mark))

    for colour, (x, y) in zip(colours, ((15, 15), (25, 15), (15, 25)), strict=True):
        assert tuple(result[y, x, :3]) == (colour or (255, 255, 255))


def test_a_mark_that_is_turned_has_clear_corners_and_the_middle_where_it_was():
    result = shown(
        perform(Watermark(image="a", angle=45), Image.new("RGB", (60, 60)), stamp((20, 20)))
    )

    y, x = np.mgrid[:60, :60] - 29.5
    away = np.abs(x) + np.abs(y)
    assert (result[away < 12.5][:, 0] == 255).all()
    assert (result[away > 16][:, 0] == 0).all()


@pytest.mark.parametrize("mark", ["white", (255, 255, 255, 255)])
@pytest.mark.parametrize("angle", [1, 20, 40, -70.5, 160])
def test_the_edges_of_a_turned_mark_are_as_soft_as_it_covers_them(mark, angle):
    step = Watermark(image="a", angle=angle)
    mode = "RGB" if isinstance(mark, str) else "RGBA"
    stamped = written(Image.new(mode, (100, 60), mark), "png")

    result = shown(perform(step, Image.new("RGB", (160, 160)), stamped))

    # Where each of 8 x 8 points of a pixel was before the turn.
    y, x = (np.mgrid[:1280, :1280] + 0.5) / 8 - 80
    turn = np.radians(angle)
    across, down = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    inside = (np.abs(across) < 50) & (np.abs(down) < 30)
    covered = inside.reshape(160, 8, 160, 8).mean(axis=(1, 3))
    # On a whole pixel, which can be half of one away from the middle.
    near = [
        np.abs(np.roll(covered, shift, (0, 1)) - result[..., 0] / 255)
        for shift in ((0, 0), (0, 1), (1, 0), (1, 1), (0, -1), (-1, 0), (-1, -1), (1, -1), (-1, 1))
    ]
    assert min(each.mean() for each in near) < 0.006
    assert result[..., 0].sum() / 255 == pytest.approx(6000, rel=0.005)
    assert len(np.unique(result[..., 0])) > 20


@pytest.mark.parametrize("color", [RED, (255, 255, 255), (90, 90, 90)])
def test_a_turned_mark_has_no_fringe(color):
    step = Watermark(image="a", angle=20)

    result = perform(step, Image.new("RGB", (160, 160), color), stamp((100, 60), color))

    assert np.abs(shown(result)[..., :3] - color).max() <= 1


@pytest.mark.parametrize("angle", [5, 20, 45])
def test_a_turned_text_has_soft_edges_too(angle):
    step = Watermark(text=BLOCK, font_size=80, angle=angle)
    upright = shown(perform(Watermark(text=BLOCK, font_size=80), Image.new("RGB", (300, 300))))

    result = shown(perform(step, Image.new("RGB", (300, 300))))

    assert len(np.unique(result[..., 0])) > 20
    assert result[..., 0].sum() == pytest.approx(upright[..., 0].sum(), rel=0.01)


@pytest.mark.parametrize("angle", [1, 30, 45, -60, 90, 135.5])
@pytest.mark.parametrize("size", [(100, 50), (50, 50), (33, 80)])
def test_a_turned_mark_is_made_to_fit_and_not_cut(angle, size):
    step = Watermark(image="a", scale=1, angle=angle)

    result = shown(perform(step, Image.new("RGBA", size), stamp((80, 40))))

    sine, cosine = abs(np.sin(np.radians(angle))), abs(np.cos(np.radians(angle)))
    width, height = size[0], size[0] / 2
    room = min(
        1,
        size[0] / (width * cosine + height * sine),
        size[1] / (width * sine + height * cosine),
    )
    area = width * room * height * room
    assert abs((result[..., 3] / 255).sum() - area) < 2.5 * (width + height) * room
    assert abs((result[..., 3] / 255).sum() - area) < 0.12 * area


@pytest.mark.parametrize("angle", [1, 45, 90])
@pytest.mark.parametrize("size", [(7, 5), (2, 1), (1, 1)])
def test_even_a_tiny_picture_takes_a_turned_mark(angle, size):
    ground = Image.new("RGBA", size)
    for step in (Watermark(image="a", angle=angle), Watermark(text="Wide", angle=angle)):
        assert shown(perform(step, ground, stamp((80, 40))))[..., 3].any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gravity", ["northwest", "center", "southeast"])
@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (3, 2), (200, 1), ("10%", "100%")])
@pytest.mark.parametrize("size", [(61, 47), (6, 4), (60, 5), (9, 700)])
def test_tiles_cover_the_picture_at_even_distances(mode, gravity, dx, dy, size):
    step = Watermark(image="a", tile=True, gravity=gravity, dx=dx, dy=dy)

    result = shown(perform(step, Image.new(mode, size), stamp()))

    pull_x, pull_y = CORNERS[gravity]
    x, y = int((size[0] - 6) * pull_x), int((size[1] - 4) * pull_y)
    across = 6 + (dx if isinstance(dx, int) else round(size[0] * 0.1))
    down = 4 + (dy if isinstance(dy, int) else size[1])
    expected = np.outer((np.arange(size[1]) - y) % down < 4, (np.arange(size[0]) - x) % across < 6)
    assert ((result[..., 0] == 255) == expected).all()


def test_tiles_of_one_pixel_are_no_trouble():
    result = perform(Watermark(image="a", tile=True), Image.new("RGB", (300, 2000)), stamp((1, 1)))

    assert result.getcolors() == [(600_000, RED)]


def test_an_image_is_laid_as_it_is_shown():
    mark = written(quarters(20, 10), "jpeg", exif=b"Exif\0\0" + exif(6), quality=100, subsampling=0)

    result = shown(perform(Watermark(image="a"), Image.new("RGB", (10, 20)), mark))

    for (x, y), colour in {(2, 5): BLUE, (7, 5): RED, (2, 15): (255,) * 3, (7, 15): GREEN}.items():
        assert np.abs(result[y, x, :3] - colour).max() < 40


def test_a_jpeg_far_too_large_is_made_smaller_and_not_cut():
    mark = written(quarters(1600, 1200), "jpeg")

    result = shown(perform(Watermark(image="a"), Image.new("RGB", (40, 30)), mark))

    assert np.abs(result[[7, 7, 22], [10, 30, 10], :3] - (RED, GREEN, BLUE)).max() < 16


@pytest.mark.parametrize("kind", ["png", "gif", "webp"])
def test_the_first_frame_of_an_animation_is_the_mark(kind):
    frames = [Image.new("RGB", (6, 4), colour) for colour in (RED, BLUE)]
    mark = written(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)

    result = shown(perform(Watermark(image="a"), Image.new("RGB", (6, 4)), mark))

    assert (result == (*RED, 255)).all()


@pytest.mark.parametrize("mark", [b"", b"no image", written(photograph(64, 64), "jpeg")[:900]])
def test_a_mark_that_cannot_be_read_is_impossible(mark):
    with pytest.raises(ImpossibleRecipe, match=r"^the image that is its mark cannot be read$"):
        perform(Watermark(image="a"), Image.new("RGB", (9, 9)), mark)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("gravity", CORNERS)
def test_a_text_is_put_where_gravity_draws_it(mode, gravity):
    ground = Image.new(mode, (200, 150), GREY[mode])
    step = Watermark(text=BLOCK, gravity=gravity, font_size=32, color="#ff0000")

    result = shown(perform(step, ground))

    left, top, right, bottom = box_of((result != (90, 90, 90, 255)).any(axis=-1))
    width, height = right - left, bottom - top
    assert 16 <= width <= 32
    assert 32 <= height <= 48
    pull_x, pull_y = CORNERS[gravity]
    assert (left, top) == (int((200 - width) * pull_x), int((150 - height) * pull_y))
    assert (result[top + 1 : bottom - 1, left + 1 : right - 1] == (255, 0, 0, 255)).all()


@pytest.mark.parametrize("mode", MODES)
def test_the_color_of_a_text_can_be_translucent(mode):
    ground = Image.new(mode, (60, 60), GREY[mode])
    step = Watermark(text=BLOCK, font_size=48, color="#ff000080", opacity=0.5)

    result = shown(perform(step, ground))

    share = 0.5 * 128 / 255
    expected = [share * level + (1 - share) * 90 for level in (255, 0, 0)]
    assert np.abs(result[30, 30, :3] - expected).max() <= 1


@pytest.mark.parametrize("font_size", [12, 60, 240])
def test_letters_are_as_high_as_the_font_size_says(font_size):
    # A capital letter of DejaVu Sans is 0.729 of it high.
    assert abs(ink("H", font_size=font_size).shape[0] - 0.729 * font_size) <= 1


def test_without_a_font_size_letters_go_by_the_picture():
    for edges, expected in (((900, 600), 30), ((600, 2000), 30), ((90, 60), 12)):
        drawn = shown(perform(Watermark(text="H"), Image.new("RGB", edges)))[..., 0]
        _, top, _, bottom = box_of(drawn > 0)
        assert abs(bottom - top - 0.729 * expected) <= 1


@pytest.mark.parametrize("text", ["A", "A text of several words", "Two\nlines", "i" * 200])
@pytest.mark.parametrize("scale", [0.25, 0.8, 1])
def test_a_text_is_as_wide_as_scale_says(text, scale):
    drawn = shown(perform(Watermark(text=text, scale=scale), Image.new("RGB", (800, 1200))))[..., 0]

    left, _, right, _ = box_of(drawn > 0)
    assert abs((right - left) / 800 - scale) < 0.08 * scale


@pytest.mark.parametrize(
    "text", ["W" * 500, "W\n" * 250, BLOCK * 30, "a" + "\u0301" * 499, "é\n\n" * 100]
)
@pytest.mark.parametrize("size", [(200, 100), (31, 300), (3, 2), (1, 1)])
@pytest.mark.parametrize("font_size", [None, 4096])
def test_a_text_too_large_is_made_to_fit(text, size, font_size):
    drawn = shown(perform(Watermark(text=text, font_size=font_size), Image.new("RGB", size)))

    assert drawn[..., 0].any()


def test_a_text_made_to_fit_is_not_cut():
    drawn = shown(perform(Watermark(text=BLOCK * 30, font_size=400), Image.new("RGB", (200, 100))))

    left, _, right, _ = box_of(drawn[..., 0] > 128)
    assert right - left >= 190
    assert (drawn[50, left + 1 : right - 1, 0] > 128).all()


@pytest.mark.parametrize(("gravity", "edge"), [("west", 0), ("east", 1), ("center", 0.5)])
def test_lines_are_aligned_by_gravity(gravity, edge):
    drawn = ink(f"{BLOCK * 6}\n\n{BLOCK * 2}", gravity=gravity)

    long, _, long_end, _ = box_of(drawn[:20] > 128)
    short, _, short_end, _ = box_of(drawn[-20:] > 128)
    assert long <= 1
    assert abs(short - (long_end - (short_end - short)) * edge) <= 1


def test_lines_do_not_touch():
    drawn = ink("Hg\nHg\nHg")

    gaps = ~drawn.any(axis=1)
    assert (np.diff(gaps.astype(int)) == 1).sum() == 2


def test_a_text_is_tiled_without_a_seam():
    step = Watermark(text=BLOCK, tile=True, dx=5, dy=7, font_size=20)

    drawn = shown(perform(step, Image.new("RGB", (200, 150))))[..., 0]

    width, height = ink(BLOCK, font_size=20).shape[::-1]
    assert (drawn[:, : -width - 5] == drawn[:, width + 5 :]).all()
    assert (drawn[: -height - 7] == drawn[height + 7 :]).all()
    assert 0.4 < (drawn > 128).mean() < 0.9


def test_each_letter_looks_different_but_those_without_a_glyph_are_boxes():
    looks = {letter: ink(letter).tobytes() for letter in "aäáâåbcdßøłşğñжЖλΩяאב"}

    assert len(set(looks.values())) == len(looks)
    assert ink("你").tobytes() == ink("好").tobytes()
    assert ink("你").tobytes() not in looks.values()


@needs_raqm
def test_an_accent_is_put_on_its_letter():
    assert ink("e\u0301").tobytes() == ink("é").tobytes()
    assert ink("a\u0301\u0323").shape[1] - ink("a").shape[1] <= 2


@needs_raqm
def test_hebrew_runs_from_right_to_left():
    alef, both = ink("א"), ink("אל")

    assert np.abs(both[-alef.shape[0] :, -alef.shape[1] + 2 :] - alef[:, 2:]).max() < 64


@needs_raqm
def test_arabic_letters_are_joined():
    joined, apart = ink("\u0644\u0627"), ink("\u0644\u200c\u0627")

    assert joined.shape[1] < apart.shape[1]
    assert not (~joined.any(axis=0)).any()
    assert ink("سلام").shape[1] < sum(ink(letter).shape[1] for letter in "سلام")


@pytest.mark.parametrize("text", [" ", "\n", " \n \n", "\u00a0", "\u3000"])
def test_a_text_of_nothing_but_blanks_is_a_fault(text):
    assert dict(Watermark(text=text).faults()) == {"text": "must have something that can be seen"}


@pytest.mark.parametrize("text", ["\u200b", "\u200b \n"])
def test_a_text_that_nobody_can_see_is_impossible(text):
    with pytest.raises(ImpossibleRecipe, match=r"^nothing of its text can be seen$"):
        perform(Watermark(text=text), Image.new("RGB", (90, 90)))


@pytest.mark.parametrize(
    ("members", "faults"),
    [
        ({}, {"image": "or a text is missing"}),
        ({"text": "a", "image": "b"}, {"text": "goes with no image"}),
        ({"image": "b", "font_size": 9}, {"font_size": "goes with no image"}),
        ({"image": "b", "color": "red"}, {"color": "goes with no image"}),
        ({"text": "a", "font_size": 9, "scale": 0.5}, {"font_size": "goes with no scale"}),
        ({"text": "a", "font_size": 9, "color": "red", "tile": True}, {}),
        ({"image": "b", "scale": 0.5, "opacity": 0.5}, {}),
    ],
)
def test_what_does_not_go_together_is_a_fault(members, faults):
    assert dict(Watermark(**members).faults()) == faults


@pytest.mark.parametrize(
    "members",
    [
        {"text": ""},
        {"text": "a" * 501},
        {"text": "a\tb"},
        {"text": "a\0"},
        {"text": "\x9b1m"},
        {"text": "a\r\nb"},
        {"text": "a\u2028b"},
        {"text": "a\u2029b"},
        {"image": ""},
        {"image": "../a"},
        {"text": "a", "opacity": 1.1},
        {"text": "a", "scale": 0},
        {"text": "a", "font_size": 4097},
        {"text": "a", "dx": -1},
        {"text": "a", "gravity": "smart"},
        {"text": "a", "angle": 361},
    ],
)
def test_what_cannot_be_meant_is_refused(members):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"op": "watermark", **members}, Watermark)


def test_a_text_may_have_500_characters_of_any_script_and_lines():
    text = ("é你\U0001f600\n" * 125)[:500]

    assert msgspec.convert({"op": "watermark", "text": text}, Watermark).text == text


def test_only_a_mark_that_is_an_image_needs_one():
    assert Watermark(image="some-id_1").needs() == ("some-id_1",)
    assert Watermark(text="a").needs() == ()
