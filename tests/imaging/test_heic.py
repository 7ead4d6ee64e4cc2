"""HEIC: measured without a decoder, and decoded to what its encoder was given."""

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from actors.imaging.decode import decode, mode_as_stored
from actors.imaging.errors import NotAnImage, UnsupportedFormat
from actors.imaging.facts import Limits
from actors.imaging.geometry import upright
from actors.imaging.heic import heic_pixels
from actors.imaging.inspect import inspect, sniff
from actors.imaging.metadata import has_metadata, metadata
from actors.imaging.plan import foresee
from actors.imaging.recipe import Output, Recipe
from actors.imaging.render import render
from tests.imaging.containers import box, grid, ispe, reference
from tests.imaging.heics import (
    ALPHA,
    assembled,
    coded,
    heic,
    reference_of,
    saved,
    with_size,
)
from tests.imaging.pictures import colour_profile, exif, photograph, quarters

ROOT = Path(__file__).parent.parent.parent
LIMITS = Limits(formats=frozenset({"heic"}))
PROFILE = colour_profile((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.71))


def shown(data):
    """What is seen, upright."""
    facts = inspect(data, LIMITS)
    return upright(decode(data, facts, None).image, facts.orientation)


def difference(one, other):
    assert one.size == other.size
    return np.abs(np.asarray(one).astype(int) - np.asarray(other.convert(one.mode)).astype(int))


def clear(width, height):
    image = photograph(width, height).convert("RGBA")
    image.putalpha(photograph(width, height, 2).convert("L"))
    return image


@pytest.mark.parametrize("size", [(64, 64), (100, 75), (1, 1), (65, 130)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_the_pixels_are_those_of_its_decoder(size, mode):
    image = (clear(*size) if mode == "RGBA" else photograph(*size)).convert(mode)
    data = heic(image)

    facts = inspect(data, LIMITS)

    assert sniff(data) == "heic"
    assert (facts.width, facts.height, facts.depth, facts.frames) == (*size, 8, 1)
    assert mode_as_stored(data, facts) == shown(data).mode == mode
    assert difference(shown(data), reference_of(data)).max() == 0


@pytest.mark.parametrize("chroma", ["420", "422", "444"])
def test_the_pixels_are_those_that_were_written(chroma):
    image = quarters(128, 64)

    assert difference(shown(heic(image, chroma=chroma, quality=100)), image).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_once_as_its_boxes_say(orientation):
    # Of a crop of odd length libheif turns colours of half the size by a sample too far.
    for image, chroma in ((photograph(100, 75), 444), (photograph(128, 64), 420)):
        data = heic(image, chroma=chroma, exif=b"Exif\0\0" + exif(orientation))

        assert inspect(data, LIMITS).orientation == orientation
        assert difference(shown(data), reference_of(data)).max() == 0


def test_what_exif_says_of_orientation_does_not_matter():
    stream, config = coded(photograph(64, 64))
    data = assembled(
        [(b"hvc1", stream), (b"Exif", bytes(4) + exif(6))], [ispe(64, 64), config], {1: [1, 2]},
        references=reference(b"cdsc", 2, 1),
    )  # fmt: skip

    assert inspect(data, LIMITS).orientation == 1
    assert metadata(data, inspect(data, LIMITS)).exif == exif(6)


@pytest.mark.parametrize(
    "changes",
    [
        (b"irot\1", b"imir\0"), (b"imir\0", b"irot\1"), (b"imir\1", b"irot\3"),
        (b"imir\1", b"imir\1"), (b"imir\0", b"imir\1"), (b"irot\1", b"irot\1"),
    ],
)  # fmt: skip
def test_what_is_done_to_it_is_done_in_its_order(changes):
    stream, config = coded(photograph(64, 64))
    properties = [ispe(64, 64), config, *(box(each[:4], each[4:]) for each in changes)]

    data = assembled([(b"hvc1", stream)], properties, {1: [1, 2, 3, 4]})

    assert difference(shown(data), reference_of(data)).max() == 0


def test_a_crop_is_what_its_decoder_makes_of_it():
    stream, config = coded(photograph(128, 128))
    crop = box(b"clap", struct.pack(">8i", 50, 1, 30, 1, 7, 1, -9, 1))

    data = assembled([(b"hvc1", stream)], [ispe(128, 128), config, crop], {1: [1, 2, 3]})

    assert inspect(data, LIMITS).size_as_shown == (50, 30)
    assert difference(shown(data), reference_of(data)).max() == 0


@pytest.mark.parametrize("twelve", [False, True])
def test_more_than_8_bits_are_reduced(twelve, monkeypatch):
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", twelve)
    levels = np.asarray(photograph(128, 64)).astype(np.uint16) << 8
    data = saved(pillow_heif.from_bytes("RGB;16", (128, 64), levels.tobytes()))

    assert inspect(data, LIMITS).depth == (12 if twelve else 10)
    assert shown(data).mode == "RGB"
    assert difference(shown(data), reference_of(data)).max() <= 1


def test_a_grid_is_put_together_and_cut():
    image = photograph(300, 200)
    data = heic(image, tile_size=128)

    assert b"grid" in data
    assert inspect(data, LIMITS).size_as_shown == (300, 200)
    assert difference(shown(data), image).mean() < 7
    assert difference(shown(data), reference_of(data)).max() == 0


def test_tiles_are_where_they_belong():
    colours = ("red", "lime", "blue", "white")
    parts = [coded(Image.new("RGB", (64, 64), colour), chroma=444) for colour in colours]
    data = assembled(
        [(b"grid", grid(2, 2, 128, 128)), *((b"hvc1", stream) for stream, _ in parts)],
        [ispe(128, 128), ispe(64, 64), parts[0][1]],
        {1: [1]} | {number: [2, 3] for number in range(2, 6)},
        references=reference(b"dimg", 1, 2, 3, 4, 5),
    )

    assert difference(shown(data), quarters(128, 128)).max() < 9


def test_alpha_that_is_premultiplied_is_taken_apart():
    image = Image.new("RGBA", (64, 64), (200, 100, 50, 128))
    data = saved(pillow_heif.from_bytes("RGBa", (64, 64), image.convert("RGBa").tobytes()))

    assert b"prem" in data
    assert shown(data).mode == "RGBA"
    assert difference(shown(data), image).max() < 6


def test_nothing_but_the_coded_pictures_reaches_the_decoder():
    data = heic(
        clear(128, 100), exif=b"Exif\0\0" + exif(6), xmp=b"<secret/>", icc_profile=PROFILE,
        thumbnails=[32],
    )  # fmt: skip

    alone = heic_pixels(data)

    assert [word for word in (b"Exif", b"mime", b"prof", b"thmb", b"irot", b"clap") if word in data]
    for word in (b"Exif", b"mime", b"secret", b"prof", b"thmb", b"irot", b"clap", b"cdsc"):
        assert word not in alone
    assert len(alone) < len(data) - len(PROFILE)
    assert len(pillow_heif.open_heif(alone)) == 1


def test_what_it_says_besides_pixels_is_told():
    data = heic(photograph(100, 75), exif=b"Exif\0\0" + exif(6), icc_profile=PROFILE)
    plain = heic(photograph(100, 75))

    about = metadata(data, inspect(data, LIMITS))

    assert about.profile == PROFILE
    assert about.exif[:4] == b"II*\0"
    assert has_metadata(data, inspect(data, LIMITS))
    assert not has_metadata(plain, inspect(plain, LIMITS))
    assert metadata(plain, inspect(plain, LIMITS)).profile is None


@pytest.mark.parametrize(
    ("image", "output", "kind"),
    [
        (photograph(60, 40), Output(), "jpeg"),
        (clear(60, 40), Output(), "png"),
        (photograph(60, 40), Output(lossless=True), "png"),
        (clear(60, 40), Output(format="auto", accepts=("avif", "jpeg")), "avif"),
        (clear(60, 40), Output(format="webp"), "webp"),
    ],
)
def test_what_is_made_of_it_is_what_everything_can_show(image, output, kind):
    data = heic(image)

    (made,) = render(data, Recipe((output,)), LIMITS)
    (planned,) = foresee(data, Recipe((output,)), LIMITS).outputs

    assert made.format == sniff(made.data) == kind
    assert (made.width, made.height) == (planned.width, planned.height) == (60, 40)
    assert planned.format == (output.format or "auto")


def test_it_is_upright_unless_it_is_not_to_be():
    data = heic(photograph(100, 75), exif=b"Exif\0\0" + exif(6))

    (turned,) = render(data, Recipe((Output(),)), LIMITS)
    (left,) = render(data, Recipe((Output(),), autorotate=False), LIMITS)

    assert (turned.width, turned.height) == (75, 100)
    assert (left.width, left.height) == (100, 75)


@pytest.mark.parametrize("window", [(0, 2, 0, 7), (1, 1, 3, 4)])
def test_what_a_window_leaves_is_the_size(window):
    stream, config = coded(photograph(64, 64))
    config = with_size(config, 64, 64, window)

    data = assembled([(b"hvc1", stream)], [ispe(60, 50), config], {1: [1, 2]})

    assert inspect(data, LIMITS).size_as_shown == (60, 50)
    assert difference(shown(data), reference_of(data)).max() == 0
    with pytest.raises(NotAnImage, match="disagree about its size"):
        inspect(assembled([(b"hvc1", stream)], [ispe(64, 64), config], {1: [1, 2]}), LIMITS)


def test_alpha_is_that_of_the_picture_and_not_of_another():
    stream, config = coded(photograph(64, 64))
    grey, grey_config = coded(Image.new("L", (64, 64), 99))
    items = [(b"hvc1", stream), (b"hvc1", grey), (b"hvc1", stream)]
    properties = [ispe(64, 64), config, grey_config, ALPHA]
    said = {1: [1, 2], 2: [1, 3, 4], 3: [1, 2]}

    of_it = assembled(items, properties, said, references=reference(b"auxl", 2, 1))
    of_another = assembled(items, properties, said, references=reference(b"auxl", 2, 3))

    assert shown(of_it).getchannel("A").getextrema() == (99, 99)
    assert shown(of_another).mode == "RGB"


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.999])
def test_what_is_cut_is_broken(part):
    data = heic(clear(100, 75))

    with pytest.raises(NotAnImage):
        shown(data[: int(len(data) * part)])


def test_it_is_refused_by_name_unless_it_is_turned_on():
    with pytest.raises(UnsupportedFormat, match=r"^HEIC is not supported; send JPEG, "):
        inspect(heic(photograph(64, 64)))


def test_its_decoder_is_not_loaded_before_it_is_needed():
    code = (
        "import sys, actors.system, actors.imaging.render; sys.exit('pillow_heif' in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)

    assert importlib.util.find_spec("pillow_heif")
