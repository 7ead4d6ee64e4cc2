"""Palettes: what matters is exact, the rest is near, and nothing flickers."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from actors.imaging.ssim import ssim
from actors.imaging.writing.palette import Palettes
from tests.imaging.pictures import BLUE, RED, WHITE, photograph

COLOURS = [256, 64, 16, 4]


def drawing(size=(600, 300)):
    """A page with lines, boxes and a ramp of greys: of 258 colours."""
    image = Image.new("RGB", size, WHITE)
    pen = ImageDraw.Draw(image)
    for left in range(0, 200, 4):
        pen.line((left, 0, left + 40, 100), fill=(30, 30, 30))
    pen.rectangle((20, 150, 180, 280), fill=RED)
    pen.rectangle((200, 150, 360, 280), fill=BLUE)
    ramp = Image.linear_gradient("L").rotate(90).resize((220, 130), Image.Resampling.NEAREST)
    image.paste(ramp.convert("RGB"), (370, 150))
    image.putdata([(n, n, n) for n in range(256)])
    return image


def levels(image):
    return np.asarray(image.convert("RGB")).astype(int)


def off(image, original):
    return np.abs(levels(image) - levels(original))


def blurred(image):
    return image.convert("RGB").filter(ImageFilter.BoxBlur(2))


@pytest.mark.parametrize("film", [False, True])
@pytest.mark.parametrize("colours", [255, 256])
def test_a_colour_too_many_is_hardly_seen(colours, film):
    image = drawing()
    assert len(image.getcolors(1000)) == 258

    result = Palettes(colours, film=film).paletted(image)

    assert off(result, image).max() <= 3
    assert (off(result, image).max(axis=2) > 0).mean() < 0.02


@pytest.mark.parametrize("colours", COLOURS)
@pytest.mark.parametrize("film", [False, True])
def test_what_covers_much_of_a_picture_is_exact(colours, film):
    image = photograph(200, 150)
    image.paste(WHITE, (0, 0, 200, 50))

    result = Palettes(colours, film=film).paletted(image)

    # It is not dithered either.
    assert off(result, image)[:50].max() == 0


@pytest.mark.parametrize("colours", COLOURS)
def test_what_has_the_same_colour_in_a_drawing_still_has(colours):
    image = drawing()

    result = Palettes(colours).paletted(image)

    both = np.concatenate([levels(image), levels(result)], axis=2).reshape(-1, 6)
    pairs = np.unique(both, axis=0)
    assert len(pairs) == len(np.unique(pairs[:, :3], axis=0))


def test_grey_does_not_become_colourful_for_want_of_colours():
    result = levels(Palettes(4).paletted(drawing()))

    assert np.ptp(result[150:280, 370:590], axis=2).max() <= 2


@pytest.mark.parametrize(("colours", "most"), [(256, 8.7), (64, 13.9), (16, 22.5)])
def test_each_pixel_of_a_film_gets_a_near_colour(colours, most):
    image = photograph(160, 120)

    assert off(Palettes(colours, film=True).paletted(image), image).mean() < most


@pytest.mark.parametrize(("colours", "most"), [(256, 2), (64, 4.5), (16, 10)])
def test_the_pixels_of_a_photograph_are_right_together(colours, most):
    image = photograph(160, 120)

    still = Palettes(colours).paletted(image)
    frame = Palettes(colours, film=True).paletted(image)

    error = off(blurred(still), blurred(image)).mean()
    assert error < most
    assert error < 0.8 * off(blurred(frame), blurred(image)).mean()


def test_what_is_near_enough_is_not_dithered():
    image = Image.linear_gradient("L").convert("RGB")

    assert off(Palettes(64).paletted(image), image).max() <= 4
    assert len(np.unique(levels(Palettes(64).paletted(image))[:, :, 0], axis=1).T) == 1


def test_a_small_accent_keeps_its_colour():
    image = photograph(300, 200).convert("L").convert("RGB")
    image = Image.blend(image, Image.new("RGB", image.size, (190, 120, 60)), 0.4)
    image.paste((60, 180, 40), (100, 100, 110, 106))

    result = levels(Palettes(64).paletted(image))[100:106, 100:110]

    assert np.abs(result.mean((0, 1)) - (60, 180, 40)).max() < 30


@pytest.mark.parametrize("make", [drawing, lambda: photograph(200, 150)])
@pytest.mark.parametrize("film", [False, True])
def test_a_picture_gets_the_same_palette_every_time(make, film):
    one, other = (Palettes(64, film=film).paletted(make()) for _ in range(2))

    assert one.getpalette() == other.getpalette()
    assert one.tobytes() == other.tobytes()


def test_a_palette_serves_as_long_as_it_suits():
    wide = photograph(260, 150)
    palettes = Palettes(256, film=True)

    shown = [palettes.paletted(wide.crop((left, 0, left + 200, 150))) for left in range(0, 20, 5)]
    other = palettes.paletted(photograph(200, 150, seed=2))

    assert len({tuple(image.getpalette() or ()) for image in shown}) == 1
    assert other.getpalette() != shown[0].getpalette()


def test_a_palette_does_not_serve_what_has_got_another_colour():
    image = Image.blend(photograph(200, 150), Image.new("RGB", (200, 150), BLUE), 0.7)
    palettes = Palettes(64, film=True)
    palettes.paletted(image)
    image.paste(RED, (20, 20, 40, 40))

    assert off(palettes.paletted(image), image)[22:38, 22:38].max() < 16


@pytest.mark.parametrize("colours", [256, 16])
def test_what_is_not_seen_takes_no_colour(colours):
    image = photograph(200, 150, seed=2)
    image.paste(photograph(40, 30), (60, 50))
    seen = Image.new("L", image.size)
    seen.paste(255, (60, 50, 100, 80))

    result, transparent = Palettes(colours, film=True).paletted_in_part(image, seen)

    alone = Palettes(colours - 1, film=True).paletted(photograph(40, 30))
    assert off(result, image)[50:80, 60:100].mean() < 1.05 * off(alone, photograph(40, 30)).mean()
    assert (np.asarray(result)[:50] == transparent).all()
    assert (np.asarray(result)[50:80, 60:100] != transparent).all()


def test_what_is_seen_of_a_picture_may_be_next_to_nothing():
    chance = np.random.default_rng(6)
    array = chance.integers(0, 256, (3000, 3000, 3), dtype=np.uint8)
    seen = np.zeros((3000, 3000), np.uint8)
    # None of these is in a sample of one pixel in 34.
    seen[1, ::2] = 255

    for colours in (2, 16):
        result, transparent = Palettes(colours).paletted_in_part(
            Image.fromarray(array), Image.fromarray(seen)
        )
        assert ((np.asarray(result) == transparent) == (seen == 0)).all()


def test_a_shadow_is_as_soft_as_it_was():
    shadow = Image.new("L", (200, 100))
    shadow.paste(160, (40, 30, 160, 70))
    image = Image.new("RGBA", shadow.size)
    image.putalpha(shadow.filter(ImageFilter.GaussianBlur(9)))
    image.paste((250, 200, 60), (30, 20, 150, 60))

    for colours, most in ((256, 0), (16, 10)):
        result = np.asarray(Palettes(colours).paletted_with_alpha(image).convert("RGBA"))
        alpha = np.asarray(image)[..., 3].astype(int)
        assert np.abs(result[..., 3] - alpha).max() <= most
        assert (result[alpha == 255] == (250, 200, 60, 255)).all()


@pytest.mark.parametrize("colours", [8, 16, 64, 256])
def test_beside_translucent_pixels_others_are_opaque_or_gone(colours):
    image = photograph(120, 90).convert("RGBA")
    alpha = np.random.default_rng(4).integers(0, 256, (90, 120), dtype=np.uint8)
    alpha[:30], alpha[60:] = 0, 255
    image.putalpha(Image.fromarray(alpha))

    result = Palettes(colours).paletted_with_alpha(image)

    shown = np.asarray(result.convert("RGBA"))
    assert (shown[:30, :, 3] == 0).all()
    assert (shown[60:, :, 3] == 255).all()
    assert len(np.unique(shown.reshape(-1, 4), axis=0)) <= colours


@pytest.mark.parametrize("colours", range(2, 20))
@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("invisible", [False, True])
def test_translucent_pixels_go_into_a_palette_of_any_size(colours, opaque, invisible):
    image = photograph(40, 30).convert("RGBA")
    image.putalpha(Image.fromarray(np.arange(1200).reshape(30, 40).astype(np.uint8) % 254 + 1))
    if opaque:
        image.putalpha(image.getchannel("A").point(lambda level: max(level, 255 * (level > 99))))
    if invisible:
        image.putalpha(image.getchannel("A").point(lambda level: level * (level > 40)))

    result = Palettes(colours).paletted_with_alpha(image)

    assert 1 < len(np.unique(np.asarray(result.convert("RGBA")).reshape(-1, 4), axis=0)) <= colours
    assert len(result.getpalette("RGBA") or ()) <= 4 * colours


def test_a_logo_with_soft_edges_looks_the_same():
    large = Image.new("RGBA", (800, 400))
    ImageDraw.Draw(large).ellipse((40, 40, 360, 360), fill=RED)
    ImageDraw.Draw(large).rectangle((280, 120, 750, 280), fill=BLUE)
    image = large.resize((200, 100), Image.Resampling.LANCZOS)

    for colours, least in ((256, 0.99999), (64, 0.995), (16, 0.99)):
        result = Palettes(colours).paletted_with_alpha(image).convert("RGBA")
        assert ssim(result, image) > least


@pytest.mark.parametrize("number", [2, 3, 40, 256])
def test_translucent_colours_that_are_few_enough_stay_as_they_are(number):
    chance = np.random.default_rng(number)
    places = np.arange(number)
    colours = np.stack([200 + places % 5, places // 5 % 5, places // 25, 250 - places % 7], axis=1)
    array = colours[chance.permutation(np.arange(1200) % number)].reshape(30, 40, 4)
    image = Image.fromarray(array.astype(np.uint8))

    result = Palettes(number).paletted_with_alpha(image)

    assert (np.asarray(result.convert("RGBA")) == array).all()
