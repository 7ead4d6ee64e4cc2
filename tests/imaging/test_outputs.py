"""What is made of a picture: several outputs, in what format, with what in it, and what is told."""

import itertools
import json

import numpy as np
import pytest
from PIL import Image

import actors.imaging.source
from actors.imaging.decode import decode
from actors.imaging.errors import ImpossibleRecipe, RenderStopped
from actors.imaging.expect import Expect
from actors.imaging.facts import Limits
from actors.imaging.ifd import UNDEFINED
from actors.imaging.inspect import SUFFIXES, inspect, sniff
from actors.imaging.operations.covering import Background, Redact, Round
from actors.imaging.operations.cropping import Crop, Trim
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize, Scale, Thumbnail
from actors.imaging.operations.tones import Grayscale, Invert, Tint
from actors.imaging.operations.turning import Flop, Rotate
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import Output, Recipe
from actors.imaging.render import render
from actors.imaging.step import FocalPoint
from tests.imaging.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    colour_profile,
    exif,
    photograph,
    pixels,
    quarters,
    written,
)
from tests.imaging.rendering import made, opened, recipe_of
from tests.imaging.test_metadata import (
    ARTIST,
    CAMERA,
    COPYRIGHT,
    MAKE,
    PLACE,
    camera_exif,
    plain_directory,
)

# In which red and green have changed places.
SWAPPED = colour_profile(
    (0.3851, 0.7169, 0.0971), (0.4361, 0.2225, 0.0139), (0.1431, 0.0606, 0.7141)
)
KINDS = ["jpeg", "png", "webp", "avif", "tiff"]
TIFF_TOO = Limits(formats=frozenset(SUFFIXES))


# Several at once

OUTPUTS = (
    Output(name="large", operations=(Thumbnail(300, 300),), format="png"),
    Output(name="small", operations=(Resize(40, 30),), format="png"),
    Output(name="part", operations=(Crop(20, 30, 200, 100), Resize(50, 25)), format="png"),
    Output(name="same", format="png"),
    Output(name="grey", operations=(Flop(), Grayscale(), Resize(60, 45)), format="png"),
    Output(name="facts", operations=(Crop(aspect="1:1"),), format="json"),
)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_each_output_is_as_if_it_were_alone(kind, orientation):
    original = written(photograph(640, 480), kind, exif=b"Exif\0\0" + exif(orientation))

    together = render(original, Recipe(OUTPUTS))

    assert [each.name for each in together] == [output.name for output in OUTPUTS]
    for output, one in zip(OUTPUTS[:-1], together, strict=False):
        (alone,) = render(original, Recipe((output,)))
        assert (one.width, one.height, one.operations) == (
            *(alone.width, alone.height),
            alone.operations,
        )
        # Alone, a small one is decoded at less than the size of the original.
        difference = np.abs(pixels(one.data, "RGB") - pixels(alone.data, "RGB"))
        assert difference.mean() < (3 if kind == "jpeg" else 1e-9)


def test_the_original_is_decoded_once_at_what_the_largest_needs(monkeypatch):
    decoded = []

    def counting(data, facts, wanted):
        decoded.append(wanted)
        return decode(data, facts, wanted)

    monkeypatch.setattr(actors.imaging.source, "decode", counting)
    original = written(photograph(640, 480), "jpeg")

    render(original, Recipe(OUTPUTS[:3]))
    render(original, Recipe(OUTPUTS[1:3]))
    render(original, Recipe(OUTPUTS[1:4]))

    assert decoded == [(300, 225), (160, 120), None]


def test_an_output_that_cannot_be_made_fails_all_of_them():
    outputs = Output(name="a", format="png"), Output(name="b", operations=(Crop(0, 0, 99, 99),))

    with pytest.raises(ImpossibleRecipe):
        render(written(quarters(64, 48), "png"), Recipe(outputs))


# Upright


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_not_to_be_turned_is_left_as_it_is_stored(orientation):
    original = written(quarters(32, 16), "png", exif=b"Exif\0\0" + exif(orientation))

    same = made(original, autorotate=False)
    half = made(original, Resize("50%", "50%"), autorotate=False)
    facts = made(original, autorotate=False, format="json")

    assert (pixels(same.data, "RGB") == np.asarray(quarters(32, 16))).all()
    assert (half.width, half.height) == (16, 8)
    assert json.loads(facts.data)["width"] == 32


# Formats


@pytest.mark.parametrize(
    ("accepts", "opaque", "clear", "moving"),
    [
        (("jpeg",), "jpeg", "jpeg", "jpeg"),
        (("png",), "png", "png", "png"),
        (("gif",), "gif", "gif", "gif"),
        (("jpeg", "png"), "jpeg", "png", "png"),
        (("avif",), "avif", "avif", "avif"),
        (("jpeg", "png", "gif"), "jpeg", "png", "gif"),
        (("webp", "jpeg", "png", "gif"), "webp", "webp", "webp"),
        (("avif", "jpeg", "png", "gif"), "avif", "avif", "avif"),
        (("avif", "webp", "jpeg", "png", "gif"), "avif", "avif", "webp"),
    ],
)
def test_auto_is_what_the_client_takes_and_what_suits_the_picture(accepts, opaque, clear, moving):
    photo, see_through = photograph(32, 32), Image.new("RGBA", (32, 32), (*RED, 99))
    solid = photo.convert("RGBA")
    two = written(see_through, "webp", save_all=True, append_images=[solid])
    chosen = [
        made(data, format="auto", accepts=accepts)
        for data in (
            written(photo, "png"),
            written(solid, "png"),
            written(see_through, "png"),
            two,
        )
    ]

    assert [each.format for each in chosen] == [opaque, opaque, clear, moving]
    assert [sniff(each.data) for each in chosen] == [opaque, opaque, clear, moving]
    assert chosen[3].frames == (1 if moving == "jpeg" else 2)


@pytest.mark.parametrize(
    ("accepts", "still", "moving"),
    [
        (("jpeg", "png", "gif"), "png", "png"),
        (("avif", "webp", "jpeg", "png", "gif"), "webp", "webp"),
        (("avif", "webp"), "webp", "webp"),
        (("png",), "png", "png"),
    ],
)
def test_auto_without_loss_is_what_loses_nothing(accepts, still, moving):
    photo = photograph(32, 32)
    two = written(photo, "webp", save_all=True, append_images=[Image.new("RGB", (32, 32), RED)])

    one = made(written(photo, "png"), format="auto", accepts=accepts, lossless=True)
    film = made(two, format="auto", accepts=accepts, lossless=True)

    assert (one.format, film.format) == (still, moving)
    assert (pixels(one.data, "RGB") == np.asarray(photo)).all()
    assert film.frames == inspect(film.data).frames == 2


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("accepts", [(), ("jpeg",), ("avif", "gif")])
def test_auto_is_nothing_that_nobody_accepts(accepts, lossless):
    original = written(photograph(32, 32), "png")
    if accepts and not lossless:
        assert made(original, format="auto", accepts=accepts).format in accepts
        return

    with pytest.raises(
        ImpossibleRecipe, match=r"^Output output: the client takes no format that would do\.$"
    ):
        made(original, format="auto", accepts=accepts, lossless=lossless)


@pytest.mark.parametrize("kind", ["jpeg", "avif", "gif"])
def test_the_format_of_the_original_may_be_none_without_loss(kind):
    with pytest.raises(ImpossibleRecipe, match="is not written without loss"):
        made(written(photograph(32, 32), kind), lossless=True)


def test_auto_looks_at_what_the_operations_left():
    original = written(photograph(32, 32), "jpeg")
    accepts = ("jpeg", "png")

    assert made(original, Round("50%"), format="auto", accepts=accepts).format == "png"
    assert (
        made(original, Round("50%"), Background(), format="auto", accepts=accepts).format == "jpeg"
    )


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
def test_the_smallest_file_that_looks_like_it_tells_how_like_it_is(kind):
    original = written(photograph(160, 120), "png")

    found = made(original, Resize(120, 90), format=kind, min_ssim=0.95)
    best = made(original, Resize(120, 90), format=kind, quality=100)

    assert found.ssim is not None
    assert found.ssim >= 0.95
    assert found.quality in range(1, 100)
    assert len(found.data) < len(best.data)


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
def test_the_best_file_that_fits_tells_its_quality(kind):
    original = written(photograph(160, 120), "png")
    whole = made(original, format=kind)

    fitting = made(original, format=kind, max_bytes=len(whole.data) // 2)

    assert len(fitting.data) <= len(whole.data) // 2
    assert fitting.quality is not None
    assert whole.quality is not None
    assert fitting.quality < whole.quality


def test_what_cannot_fit_says_what_was_measured():
    original = written(photograph(160, 120), "png")

    with pytest.raises(
        ImpossibleRecipe, match=r"^Output tiny: the smallest .* max_bytes is 100\.$"
    ):
        made(original, name="tiny", format="jpeg", max_bytes=100)


# Facts


def test_facts_are_of_the_original_and_of_what_was_made_of_it():
    original = written(quarters(64, 48), "png")

    facts = made(original, Crop(32, 0, 32, 24), format="json")

    told = json.loads(facts.data)
    assert facts.format == "json"
    assert (told["format"], told["width"], told["height"]) == ("png", 64, 48)
    assert told["dominant_color"] == "#00ff00"
    assert told["opaque"] is True


def test_facts_are_of_what_the_client_asked_for_though_a_small_copy_is_looked_at():
    original = written(photograph(1200, 900), "jpeg")

    facts = made(original, Crop(0, 0, 1000, 800), Resize("80%"), Invert(), format="json")

    assert (facts.width, facts.height) == (800, 640)
    assert facts.operations == (Crop(0, 0, 1000, 800), Resize(800, 640), Invert())


# Colours


def test_a_profile_is_kept_with_the_colours_that_it_explains():
    original = written(Image.new("RGB", (32, 32), RED), "png", icc_profile=SWAPPED)

    kept = made(original, Resize(8, 8), profile="keep")
    stripped = made(original, Resize(8, 8), profile="strip")
    srgb = made(original, Resize(8, 8))

    assert opened(kept.data).info["icc_profile"] == SWAPPED
    assert "icc_profile" not in opened(stripped.data).info
    assert "icc_profile" not in opened(srgb.data).info
    assert np.abs(pixels(kept.data, "RGB") - RED).max() <= 1
    assert np.abs(pixels(stripped.data, "RGB") - RED).max() <= 1
    assert np.abs(pixels(srgb.data, "RGB") - GREEN).max() <= 6


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_but_gif_can_keep_a_profile(kind):
    original = written(Image.new("RGB", (32, 32), RED), "png", icc_profile=SWAPPED)

    assert opened(made(original, format=kind, profile="keep").data).info["icc_profile"] == SWAPPED
    assert "icc_profile" not in opened(made(original, format="gif", profile="keep").data).info


@pytest.mark.parametrize("kind", KINDS)
def test_a_profile_of_colours_is_never_that_of_a_grey_picture(kind):
    original = written(Image.new("RGBA", (32, 32), (*RED, 200)), "png", icc_profile=SWAPPED)

    grey = opened(made(original, Grayscale(), format=kind, profile="keep").data)

    assert grey.info["icc_profile"] == SWAPPED
    assert grey.mode in {"RGB", "RGBA"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_profile_of_grey_is_never_that_of_a_coloured_picture(kind):
    profile = SWAPPED[:16] + b"GRAY" + SWAPPED[20:]
    original = written(Image.new("L", (32, 32), 77), "png", icc_profile=profile)

    grey = opened(made(original, format=kind, profile="keep").data)
    tinted = opened(made(original, Tint("#ff0000"), format=kind, profile="keep").data)

    if kind != "webp":  # It has no grey.
        assert grey.info["icc_profile"] == profile
    assert "icc_profile" not in tinted.info


def test_inks_are_always_converted():
    inks = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    original = written(inks, "jpeg", quality=95, icc_profile=SWAPPED)

    kept = made(original, profile="keep")

    assert "icc_profile" not in opened(kept.data).info
    assert opened(kept.data).mode == "RGB"


# Metadata


def told(data):
    """The EXIF of a file, and of its parts."""
    about = opened(data).getexif()
    return dict(about), dict(about.get_ifd(CAMERA)), dict(about.get_ifd(PLACE))


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_are_kept_as_far_as_is_asked_for(kind):
    original = written(photograph(64, 48), "jpeg", exif=b"Exif\0\0" + camera_exif())

    none, rights, everything = (
        made(original, Resize(24, 32), format=kind, metadata=which)
        for which in ("none", "copyright", "all")
    )

    assert MAKE not in told(none.data)[0]
    assert told(rights.data)[0][COPYRIGHT] == "(c) A. Artist"
    assert MAKE not in told(rights.data)[0]
    assert told(rights.data)[1:] == ({}, {})
    assert told(everything.data)[0][ARTIST] == "A. Artist"
    assert told(everything.data)[2][1] == "N"


@pytest.mark.parametrize("which", ["none", "copyright", "all"])
def test_what_was_turned_upright_does_not_say_that_it_must_be_turned(which):
    original = written(photograph(64, 48), "jpeg", exif=b"Exif\0\0" + camera_exif())

    shown = made(original, metadata=which)

    assert (shown.width, shown.height) == (48, 64)
    assert inspect(shown.data).orientation == 1


def test_a_picture_within_the_metadata_is_dropped():
    thumbnail = written(Image.new("RGB", (16, 16), BLUE), "jpeg")
    about = Image.Exif()
    about[MAKE] = "Maker of Cameras"
    about._ifds[1] = {0x0201: 0, 0x0202: len(thumbnail)}
    original = written(photograph(64, 48), "jpeg", exif=about.tobytes() + thumbnail)
    assert original.count(b"\xff\xd8") == 2

    shown = made(original, metadata="all")

    assert shown.data.count(b"\xff\xd8") == 1
    assert told(shown.data)[0][MAKE] == "Maker of Cameras"


@pytest.mark.parametrize("which", ["copyright", "all"])
@pytest.mark.parametrize("tag", [0x010E, ARTIST, COPYRIGHT, 0x501B, 0x8568, 0x927C, 0x935C, 0xFDE8])
def test_what_is_redacted_is_in_no_field_that_somebody_made_up(tag, which):
    layers = written(photograph(64, 48), "jpeg")
    about = plain_directory({tag: (UNDEFINED, len(layers), layers)})
    original = written(photograph(64, 48), "jpeg", exif=b"Exif\0\0" + about)

    shown = made(original, Redact(0, 0, "100%", "100%", "fill"), metadata=which)

    assert layers in original
    assert layers[:64] not in shown.data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_what_is_left_turned_says_so(orientation, kind):
    turned = exif(orientation)
    original = written(photograph(64, 48), "jpeg", exif=b"Exif\0\0" + turned)

    same, cut = (
        made(original, *operations, format=kind, metadata="all", autorotate=False)
        for operations in ((), (Crop(0, 0, 20, 10),))
    )
    by_hand = made(original, Rotate(90), format=kind, metadata="all", autorotate=False)

    assert inspect(same.data, TIFF_TOO).orientation == orientation
    assert inspect(cut.data, TIFF_TOO).orientation == orientation
    assert inspect(by_hand.data, TIFF_TOO).orientation == 1


# What is expected


def test_what_is_as_expected_is_made():
    original = written(photograph(64, 48), "jpeg", exif=b"Exif\0\0" + camera_exif())
    expect = Expect(max_bytes=5000, min_ssim=0.9, frames="same", metadata="none", size=(24, 32))

    shown = made(original, Resize(24, 32), expect=expect)

    assert shown.ssim is not None
    assert shown.ssim > 0.9
    assert (shown.width, shown.height) == (24, 32)


@pytest.mark.parametrize(
    ("expect", "measured"),
    [
        (Expect(max_bytes=200), r"it has [0-9,]+ bytes, and not at most 200"),
        (Expect(min_ssim=0.9999), r"its SSIM is 0\.9[0-9]{3}, and not at least 0\.9999"),
        (Expect(metadata="none"), "it has metadata"),
        (Expect(size=(32, 24)), "it has 24 x 32 pixels, and not 32 x 24"),
    ],
)
def test_what_is_not_as_expected_is_not_made_and_says_what_was_measured(expect, measured):
    original = written(photograph(64, 48), "jpeg", exif=b"Exif\0\0" + camera_exif())

    with pytest.raises(
        ImpossibleRecipe, match=f"^Output card: it is not as expected: {measured}\\.$"
    ):
        made(original, Resize(24, 32), name="card", quality=60, metadata="all", expect=expect)


@pytest.mark.parametrize("kind", [*KINDS, "gif"])
def test_whatever_the_format_it_can_be_checked(kind):
    original = written(photograph(64, 48), "png")

    shown = made(original, format=kind, expect=Expect(size=(64, 48), metadata="none"))

    assert sniff(shown.data) == kind


# Which step it was


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (
            (Crop(0, 0, 65, 10),),
            r"Step 1 \(crop\): a part of 65 x 10 pixels is not in .* 64 x 48\.",
        ),
        ((Flop(), Resize(20, 20), Crop(10, 10, 11, 11)), r"Step 3 \(crop\): .* at 10, 10 .*\."),
        ((Resize(9, 9, "cover", "smart"), Crop(0, 0, 10, 9)), r"Step 2 \(crop\): .* 9 x 9\."),
        ((Trim(), Invert(), Crop(50, 50, 60, 60)), r"Step 3 \(crop\): .*\."),
        (
            (Flop(), Scale(16), Scale(16)),
            r"Step 3 \(scale\): the picture would be 16,384 x 12,288.*\.",
        ),
        ((Flop(), Thumbnail(20, 20), Watermark(text=" ")), r"Step 3 \(watermark\): nothing .*\."),
    ],
)
def test_an_impossible_step_says_which_it_is(operations, message):
    original = written(quarters(64, 48), "png")

    with pytest.raises(ImpossibleRecipe, match=f"^{message}$"):
        made(original, *operations)


@pytest.mark.parametrize("first", [(), (Flop(),), (Trim(),)], ids=["window", "step", "look"])
def test_of_several_outputs_an_impossible_step_says_whose_it_is(first):
    fine, bad = Output(name="a"), Output(name="b", operations=(*first, Crop(0, 0, 65, 10)))

    with pytest.raises(ImpossibleRecipe, match=rf"^Output b, step {len(first) + 1} \(crop\): a pa"):
        render(written(quarters(64, 48), "png"), Recipe((fine, bad)))


@pytest.mark.parametrize(
    "operations",
    [
        (Resize(40, 40), Resize(20, 20)),
        (Flop(), Resize(40, 40), Resize(20, 20)),
        (Pad(top=20), Crop(0, 0, 30, 20)),
        (Rotate(45), Crop(0, 0, 10, 10)),
        (Trim(), Pad(top=20), Crop(0, 0, 10, 10)),
    ],
)
def test_no_step_may_pass_the_limit_even_if_later_ones_shrink_what_it_made(operations):
    original = written(quarters(30, 20), "png")

    with pytest.raises(ImpossibleRecipe, match="at most 600 in all are allowed"):
        made(original, *operations, limits=Limits(max_pixels=600))


# Stopping


@pytest.mark.parametrize(
    ("operations", "encoding"),
    [
        ((), {}),
        ((Flop(), Invert(), Flop()), {}),
        ((Trim(), Resize(8, 8, "cover", "smart")), {"format": "json"}),
        ((Resize(20, 20),), {"format": "jpeg", "min_ssim": 0.9}),
        ((Resize(20, 20),), {"format": "webp", "max_bytes": 300}),
    ],
)
def test_the_work_can_be_given_up_between_any_two_steps(operations, encoding):
    original = written(photograph(32, 24), "png")
    recipe = recipe_of(*operations, **encoding)
    questions = itertools.count()
    render(original, recipe, stopped=lambda: next(questions) < 0)
    asked = next(questions)

    assert asked >= 2 + len(operations)
    for patience in range(asked):
        answers = itertools.chain([False] * patience, [True])
        with pytest.raises(RenderStopped):
            render(original, recipe, stopped=answers.__next__)


# Other images


def test_a_mark_comes_from_another_image():
    mark = written(Image.new("RGB", (10, 10), RED), "png")
    original = written(Image.new("RGB", (40, 30), WHITE), "png")

    shown = made(
        original,
        Resize(80, 60),
        Watermark(image="logo", gravity="southeast", dx=5, dy="10%"),
        others={"logo": mark},
    )

    expected = np.full((60, 80, 3), WHITE)
    expected[44:54, 65:75] = RED
    assert (pixels(shown.data, "RGB") == expected).all()


# Gravity


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_smart_cover_keeps_what_draws_the_eye(orientation):
    upright = Image.new("RGB", (400, 100), (60, 70, 60))
    upright.paste(photograph(60, 60), (310, 20))
    stored = upright.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else upright
    original = written(stored, "png", exif=b"Exif\0\0" + exif(orientation))

    shown = made(original, Resize(50, 50, "cover", "smart"))
    centred = made(original, Resize(50, 50, "cover"))

    resized, crop = shown.operations
    assert resized == Resize(200, 50)
    assert isinstance(crop, Crop)
    assert crop.box[0] <= 310 // 2
    assert crop.box[2] >= 370 // 2
    assert pixels(shown.data, "L").std() > 20
    assert pixels(centred.data, "L").std() < 2


def test_a_focal_point_is_kept():
    original = written(quarters(400, 100), "png")

    left, right = (
        made(original, Resize(20, 20, "cover", FocalPoint(x, 0.5))) for x in (0.05, 0.95)
    )

    assert (pixels(left.data, "RGB")[3, :] == RED).all()
    assert (pixels(right.data, "RGB")[3, :] == GREEN).all()
