"""Portraits: the facts about a file and about what is seen of it."""

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image, ImageCms

from actors.imaging.facts import Limits
from actors.imaging.hashes import blurhash, dhash, thumbhash
from actors.imaging.inspect import inspect
from actors.imaging.portrait import describe
from tests.imaging.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    chunk,
    colour_profile,
    photograph,
    png,
    quarters,
    written,
)

MODES = ["L", "LA", "RGB", "RGBA"]
PRIMARIES = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def portrait(data, image=None):
    """The portrait of a file, seen as `image` or as Pillow decodes it."""
    if image is None:
        with Image.open(io.BytesIO(data)) as file:
            clear = file.has_transparency_data
            grey = file.mode in {"L", "LA", "1", "I;16"}
            image = file.convert(("LA" if grey else "RGBA") if clear else "L" if grey else "RGB")
    return json.loads(describe(data, inspect(data), image))


def of_picture(image):
    return portrait(written(image, "png"), image)


def test_a_portrait_has_all_its_members_in_every_case():
    members = {
        "format",
        "size_bytes",
        "sha256",
        "width",
        "height",
        "frames",
        "mode",
        "depth",
        "exif",
        "icc_profile",
        "opaque",
        "dominant_color",
        "mean_color",
        "palette",
        "blurhash",
        "thumbhash",
        "dhash",
    }

    assert set(of_picture(photograph(40, 30))) == members
    assert set(of_picture(Image.new("RGBA", (1, 1)))) == members


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "avif"])
def test_the_file_is_told_by_its_format_its_length_and_its_digest(kind):
    data = written(photograph(40, 30), kind)

    found = portrait(data)

    assert (found["format"], found["width"], found["height"], found["frames"]) == (kind, 40, 30, 1)
    assert found["size_bytes"] == len(data)
    assert found["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("image", "kind", "mode", "depth"),
    [
        (photograph(9, 7), "jpeg", "RGB", 8),
        (photograph(9, 7).convert("L"), "jpeg", "L", 8),
        (photograph(9, 7).convert("CMYK"), "jpeg", "CMYK", 8),
        (photograph(9, 7).convert("1"), "png", "1", 1),
        (photograph(9, 7).convert("L"), "png", "L", 8),
        (photograph(9, 7).convert("LA"), "png", "LA", 8),
        (photograph(9, 7).quantize(200), "png", "P", 8),
        (photograph(9, 7).convert("RGBA"), "png", "RGBA", 8),
        (Image.new("I;16", (9, 7), 40_000), "png", "I;16", 16),
        (photograph(9, 7), "gif", "P", 8),
        (photograph(9, 7), "webp", "RGB", 8),
        (photograph(9, 7), "avif", "RGB", 8),
    ],
)
def test_the_mode_is_that_of_the_file(image, kind, mode, depth):
    seen = photograph(9, 7)

    found = portrait(written(image, kind), seen)

    assert (found["mode"], found["depth"]) == (mode, depth)


def test_the_size_is_that_of_the_original_as_it_is_shown():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = written(photograph(40, 30), "jpeg", exif=exif)

    found = portrait(data, photograph(10, 10))

    assert (found["width"], found["height"]) == (30, 40)
    assert found["exif"] == {"Orientation": 6}


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "avif"])
def test_the_frames_of_an_animation_are_counted(kind):
    frames = [photograph(20, 20, seed) for seed in range(3)]
    data = written(frames[0], kind, save_all=True, append_images=frames[1:])

    assert portrait(data, frames[0])["frames"] == 3


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
def test_exif_is_told_in_every_format_without_the_place(kind):
    exif = Image.Exif()
    exif[0x0110] = "Hasselblad 500C"
    exif.get_ifd(0x8769)[0x9003] = "1969:07:20 20:17:40"
    exif.get_ifd(0x8825)[1] = "N"
    data = written(photograph(20, 20), kind, exif=exif)

    assert portrait(data)["exif"] == {
        "Model": "Hasselblad 500C",
        "DateTimeOriginal": "1969:07:20 20:17:40",
    }


def test_the_directory_of_a_tiff_is_its_exif():
    image = photograph(20, 20).convert("CMYK")
    data = written(image, "tiff", tiffinfo={0x010F: "Imacon", 0x0110: "Flextight"})
    facts = inspect(data, Limits(formats=frozenset({"tiff"})))

    found = json.loads(describe(data, facts, image.convert("RGB")))

    assert (found["format"], found["mode"]) == ("tiff", "CMYK")
    assert found["exif"] == {"Make": "Imacon", "Model": "Flextight"}


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
def test_the_colour_profile_is_told_by_its_name(kind):
    data = written(photograph(20, 20), kind, icc_profile=colour_profile(*PRIMARIES))

    assert portrait(data)["icc_profile"] == "test"


def test_names_of_profiles_are_those_that_colour_management_knows():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    found = portrait(written(photograph(20, 20), "jpeg", icc_profile=profile))

    assert found["icc_profile"] == "sRGB built-in"


@pytest.mark.parametrize("profile", [b"junk" * 99, colour_profile(*PRIMARIES)[:140], bytes(200)])
def test_a_broken_profile_has_no_name(profile):
    data = written(photograph(20, 20), "jpeg", icc_profile=profile)

    assert portrait(data)["icc_profile"] is None


def test_the_colours_are_told_as_css_has_them():
    image = quarters(40, 40, (RED, RED, RED, BLUE))

    found = of_picture(image)

    assert found["palette"] == [
        {"color": "#ff0000", "share": 0.75},
        {"color": "#0000ff", "share": 0.25},
    ]
    assert found["dominant_color"] == "#ff0000"
    # 191.25 and 63.75.
    assert found["mean_color"] == "#bf0040"
    assert found["opaque"]


def test_colours_of_a_large_picture_are_told_of_all_of_it():
    image = quarters(1_600, 1_200, (RED, GREEN, BLUE, WHITE))
    image.paste(RED, (0, 0, 1_600, 600))

    found = of_picture(image)

    shares = {each["color"]: each["share"] for each in found["palette"]}
    assert shares == pytest.approx({"#ff0000": 0.5, "#0000ff": 0.25, "#ffffff": 0.25}, abs=0.02)
    expected = np.asarray(image).reshape(-1, 3).mean(0)
    mean = [int(found["mean_color"][start : start + 2], 16) for start in (1, 3, 5)]
    assert mean == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("mode", MODES)
def test_a_grey_picture_has_grey_colours(mode):
    found = of_picture(Image.new("L", (30, 20), 119).convert(mode))

    assert found["palette"] == [{"color": "#777777", "share": 1}]
    assert found["dominant_color"] == found["mean_color"] == "#777777"
    assert found["opaque"]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_shows_through_is_no_colour(mode):
    image = Image.new(mode, (400, 400), (0,) * len(mode))
    image.paste((255,) * len(mode), (0, 0, 100, 400))

    found = of_picture(image)

    assert found["palette"] == [{"color": "#ffffff", "share": 1}]
    assert found["mean_color"] == "#ffffff"
    assert not found["opaque"]


@pytest.mark.parametrize(("alpha", "is_opaque"), [(255, True), (254, False), (0, False)])
def test_a_picture_is_opaque_if_all_of_its_pixels_are(alpha, is_opaque):
    image = photograph(300, 200).convert("RGBA")
    image.putpixel((299, 199), (0, 0, 0, alpha))

    assert of_picture(image)["opaque"] is is_opaque


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_an_invisible_picture_has_no_colours(mode):
    found = of_picture(Image.new(mode, (30, 20)))

    assert (found["dominant_color"], found["mean_color"], found["palette"]) == (None, None, [])
    assert not found["opaque"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (33, 65)])
def test_a_picture_of_every_mode_and_size_has_a_portrait(mode, size):
    # So opaque that it is a whole number when it is premultiplied.
    pixel = {"L": (50,), "LA": (50, 204), "RGB": (50,) * 3, "RGBA": (50, 50, 50, 204)}[mode]

    found = of_picture(Image.new(mode, size, pixel))

    assert found["palette"] == [{"color": "#323232", "share": 1}]
    assert (len(found["blurhash"]), len(found["dhash"])) == (28, 16)
    assert found["thumbhash"]


def test_hashes_of_a_small_picture_are_of_it_as_it_is():
    image = photograph(31, 17)

    found = of_picture(image)

    assert found["blurhash"] == blurhash(image)
    assert found["thumbhash"] == thumbhash(image)
    assert found["dhash"] == dhash(image)


def test_hashes_of_a_large_picture_are_of_its_mean_over_32_pixels():
    small = photograph(32, 24)
    image = small.resize((320, 240), Image.Resampling.NEAREST)

    found = of_picture(image)

    assert found["blurhash"] == blurhash(small)
    assert found["thumbhash"] == thumbhash(small)


def test_transparent_colours_do_not_bleed_into_the_placeholders():
    image = Image.new("RGBA", (320, 320), (255, 0, 0, 0))
    image.paste((0, 0, 200, 255), (0, 0, 165, 320))
    other = Image.new("RGBA", (320, 320), (0, 255, 0, 0))
    other.paste((0, 0, 200, 255), (0, 0, 165, 320))

    assert of_picture(image)["thumbhash"] == of_picture(other)["thumbhash"]


def test_the_picture_is_left_as_it_was_and_its_portrait_is_always_the_same():
    image = photograph(120, 90).convert("RGBA")
    data, before = written(image, "png"), image.tobytes()

    first = describe(data, inspect(data), image)

    assert describe(data, inspect(data), image) == first
    assert image.tobytes() == before


def test_text_in_a_png_is_not_told():
    data = png(1, 1, bytes(4), before=chunk(b"tEXt", b"Author\0secret"))

    assert b"secret" not in describe(data, inspect(data), Image.new("RGB", (1, 1)))
