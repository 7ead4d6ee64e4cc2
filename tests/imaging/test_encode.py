"""Writing: that what was written can be read, looks as it should, and says no more than that."""

import errno
import io
import os
import struct
import weakref
import zlib
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, JpegImagePlugin, TiffImagePlugin
from skimage import data as photographs

from actors.imaging.encode import ANIMATED, QUALITIES, Timing, encode
from actors.imaging.errors import ImpossibleRecipe, NoRoom, RenderStopped
from actors.imaging.facts import Written
from actors.imaging.inspect import inspect, sniff
from actors.imaging.recipe import Encoding
from tests.imaging.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    exif,
    photograph,
    pixels,
    quarters,
)

FORMATS = sorted(get_args(Written))
MODES = ["L", "LA", "RGB", "RGBA"]
SIZES = [(1, 1), (1, 7), (33, 17), (64, 48)]
# A profile is not looked into by any writer, and here it is too long for one segment of a JPEG.
PROFILE = np.random.default_rng(5).bytes(70_000)


def sample(mode, size, seed=1):
    """A soft picture; with alpha, one that is opaque, translucent and transparent in parts."""
    image = soft(size, seed).convert(mode)
    if mode in {"LA", "RGBA"}:
        image.putalpha(soft(size, seed + 1).convert("L").point(lambda a: 3 * a - 250))
    return image


def soft(size, seed=1):
    return photograph(size[0], size[1], seed).filter(ImageFilter.GaussianBlur(2))


def opened(data):
    return Image.open(io.BytesIO(data))


def seen(image):
    """The pixels as they look, so that the colour of what is transparent does not matter."""
    array = np.asarray(image.convert("RGBA")).astype(int)
    array[array[..., 3] == 0] = 0
    return array


def likeness(one, other):
    """The mean difference of two pictures, on black."""
    one, other = seen(one), seen(other)
    return np.abs(one[..., :3] * one[..., 3:] - other[..., :3] * other[..., 3:]).mean() / 255


def written(image, kind, **options):
    return encode([image], kind, Encoding(**options)).data


def ssim_of(encoded):
    assert encoded.ssim is not None
    return encoded.ssim


# Stills


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_every_format_can_be_made_of_every_picture(kind, mode, size):
    image = sample(mode, size)

    result = encode([image], kind, Encoding(background="black"))

    assert sniff(result.data) == kind
    assert opened(result.data).size == size
    # A pixel of a GIF is not translucent, and has one of 256 colours.
    tolerance = {"gif": 35 if "A" in mode else 7}.get(kind, 4)
    assert likeness(opened(result.data), image) < tolerance
    assert result.quality == QUALITIES.get(kind)
    assert result.ssim is None


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [*SIZES, (500, 301)])
@pytest.mark.parametrize("effort", [None, 1, 9])
def test_what_is_written_without_loss_is_the_same(kind, mode, size, effort):
    image = sample(mode, size)

    result = opened(written(image, kind, effort=effort))

    assert result.mode == mode
    assert (np.asarray(result) == np.asarray(image)).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("effort", [None, 1, 9])
@pytest.mark.parametrize("quality", [None, 1])
def test_a_webp_without_loss_looks_the_same(mode, effort, quality):
    image = sample(mode, (65, 43))

    result = encode([image], "webp", Encoding(lossless=True, effort=effort, quality=quality))

    assert (seen(opened(result.data)) == seen(image)).all()
    assert result.quality is None


@pytest.mark.parametrize("kind", ["jpeg", "avif", "gif"])
def test_what_always_loses_something_is_not_written_without_loss(kind):
    with pytest.raises(ImpossibleRecipe, match=r"^an? (JPEG|AVIF|GIF) is not written without loss"):
        written(photograph(8, 8), kind, lossless=True)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_what_never_loses_anything_is_written_as_ever(kind):
    image = photograph(20, 20)

    assert written(image, kind, lossless=True) == written(image, kind)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("mode", MODES)
def test_the_same_pixels_give_the_same_bytes(kind, mode):
    image = sample(mode, (64, 48))

    one, other = (
        encode([each], kind, Encoding(dpi=72), icc=PROFILE, exif=exif(1))
        for each in (image, image.copy())
    )

    assert one == other


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("mode", MODES)
def test_a_picture_is_not_changed_by_being_written(kind, mode):
    image = sample(mode, (40, 30))
    before = image.copy()

    colors = 16 if kind == "gif" else None
    encode([image, image], kind, Encoding(colors=colors), timing=Timing((100, 100)))

    assert image == before
    assert image.info == {}


@pytest.mark.parametrize("kind", sorted(QUALITIES))
def test_quality_costs_bytes_and_is_worth_them(kind):
    image = photograph(200, 150)

    results = [written(image, kind, quality=quality) for quality in (1, 30, 60, 90, 100)]
    losses = [np.abs(pixels(data) - pixels_of(image)).mean() for data in results]

    assert [len(data) for data in results] == sorted(len(data) for data in results)
    assert losses == sorted(losses, reverse=True)


def pixels_of(image):
    return np.asarray(image.convert("RGBA")).astype(int)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif", "tiff"])
def test_effort_saves_bytes(kind):
    image = Image.fromarray(photographs.coffee())

    lazy, usual, eager = (len(written(image, kind, effort=effort)) for effort in (1, None, 9))

    assert eager < usual <= lazy


def test_a_drawing_is_compressed_more_than_a_photograph_in_png():
    drawing = Image.new("RGB", (1600, 1200), "white")
    pen = ImageDraw.Draw(drawing)
    for number in range(40):
        points = [(x, 600 + number * (x % 70 - 35) // 3) for x in range(0, 1600, 40)]
        pen.line(points, fill=(6 * number, 200 - 4 * number, 90), width=3)

    fast = io.BytesIO()
    drawing.save(fast, "PNG", compress_type=zlib.Z_RLE)

    assert len(written(drawing, "png")) < 0.9 * len(fast.getvalue())


# Transparency


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize(
    ("background", "expected"),
    [
        ("white", WHITE),
        ("#204060", (0x20, 0x40, 0x60)),
        ("transparent", WHITE),
        ("#ff000080", (255, 127, 127)),
    ],
)
def test_what_has_no_alpha_lies_on_the_background(mode, background, expected):
    image = Image.new(mode, (16, 16), 0)

    result = pixels(written(image, "jpeg", background=background, quality=100), "RGB")

    assert np.abs(result - expected).max() <= 2


def test_what_is_half_transparent_is_mixed_with_the_background():
    image = Image.new("RGBA", (16, 16), (*RED, 128))

    result = pixels(written(image, "jpeg", background="blue", quality=100), "RGB")

    assert np.abs(result - (128, 0, 127)).max() <= 2


@pytest.mark.parametrize("kind", ["png", "tiff", "webp", "avif"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_has_alpha_keeps_it_whatever_the_background(kind, mode):
    image = sample(mode, (48, 40))

    result = pixels(written(image, kind, background="red"))

    assert np.abs(result[..., 3] - pixels_of(image)[..., 3]).mean() < 2


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_in_a_gif_a_pixel_is_gone_or_lies_on_the_background(mode):
    image = Image.new(mode, (4, 1), 0)
    for x, alpha in enumerate((0, 127, 128, 255)):
        image.putpixel((x, 0), (0,) * (len(mode) - 1) + (alpha,))

    result = pixels(written(image, "gif", background="#ff0000"))

    assert result[0, :, 3].tolist() == [0, 0, 255, 255]
    assert np.abs(result[0, 2:, :3] - [(127, 0, 0), (0, 0, 0)]).max() <= 1


# Palettes


@pytest.mark.parametrize("kind", ["png", "gif"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("colours", [2, 3, 16, 100, 256])
def test_there_are_no_more_colours_than_asked_for(kind, mode, colours):
    result = opened(written(sample(mode, (64, 48)), kind, colors=colours))

    assert result.mode == "P" or (result.mode == "L" and kind == "gif")
    assert 1 < len(result.convert("RGBA").getcolors(10_000)) <= colours


@pytest.mark.parametrize("kind", ["png", "gif"])
@pytest.mark.parametrize("number", [1, 2, 9, 120, 255])
@pytest.mark.parametrize("is_cut_out", [False, True])
def test_colours_that_are_few_enough_stay_as_they_are(kind, number, is_cut_out):
    chance = np.random.default_rng(number)
    # Neighbours, so that whoever rounds is found out.
    colours = np.array([(90 + n % 8, 40 + n // 8 % 8, 200 + n // 64) for n in range(number)])
    image = Image.fromarray(colours[chance.integers(0, number, (40, 30))].astype(np.uint8))
    if is_cut_out:
        image = image.convert("RGBA")
        image.putalpha(Image.fromarray(chance.integers(0, 2, (40, 30), dtype=np.uint8) * 255))

    result = written(image, kind, colors=max(2, number + is_cut_out))

    assert (seen(opened(result)) == seen(image)).all()


def test_a_grey_gif_keeps_all_its_levels():
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))

    assert (pixels(written(ramp, "gif"), "L") == np.asarray(ramp)).all()


def test_a_palette_makes_a_png_smaller():
    image = photograph(160, 120)

    assert len(written(image, "png", colors=32)) < len(written(image, "png")) / 4


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif", "tiff"])
def test_what_has_no_palette_ignores_the_number_of_colours(kind):
    image = photograph(40, 30)

    assert written(image, kind, colors=2) == written(image, kind)


# What else is said in a file


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff"])
@pytest.mark.parametrize("dpi", [1, 72, 300, 10_000])
def test_the_density_is_written(kind, dpi):
    result = opened(written(photograph(8, 8), kind, dpi=dpi))

    assert result.info["dpi"] == pytest.approx((dpi, dpi), abs=0.02)


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp", "avif", "gif"])
def test_without_a_density_none_is_written(kind):
    # Pillow says 1 of a TIFF that says nothing.
    assert opened(written(photograph(8, 8), kind)).info.get("dpi") in {None, (1, 1)}


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif", "tiff"])
@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_a_profile_and_exif_are_written(kind, mode):
    about = Image.Exif()
    about[0x8298], about[0x013B], about[0x0112] = "all mine", "me", 1
    about.get_ifd(0x8769)[0x9003] = "2024:02:29 12:00:00"
    about.get_ifd(0x8825)[1] = "N"
    image = sample(mode, (9, 5))

    result = opened(encode([image], kind, Encoding(), icc=PROFILE, exif=about.tobytes()[6:]).data)

    found = result.getexif()
    assert result.info["icc_profile"] == PROFILE
    assert (found[0x8298], found[0x013B]) == ("all mine", "me")
    assert found.get_ifd(0x8769)[0x9003] == "2024:02:29 12:00:00"
    assert found.get_ifd(0x8825)[1] == "N"
    assert result.size == (9, 5)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_is_sound_in_either_order_of_bytes(order):
    image = photograph(300, 400)

    result = opened(encode([image], "tiff", Encoding(dpi=96), exif=exif(1, order)).data)

    assert isinstance(result, TiffImagePlugin.TiffImageFile)
    assert result.tag_v2.prefix == {"<": b"II", ">": b"MM"}[order]
    assert len(result.tag_v2[TiffImagePlugin.STRIPOFFSETS]) > 1
    assert (np.asarray(result) == np.asarray(image)).all()


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, 2), ("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)]
)
def test_the_colours_of_a_jpeg_are_as_fine_as_asked_for(asked, expected):
    data = written(photograph(32, 32), "jpeg", subsampling=asked)

    assert JpegImagePlugin.get_sampling(opened(data)) == expected


def test_the_colours_of_an_avif_are_as_fine_as_asked_for():
    lines = Image.fromarray(np.tile(np.array([[RED], [BLUE]], dtype=np.uint8), (16, 32, 1)))

    losses = [
        np.abs(pixels(written(lines, "avif", quality=100, subsampling=each)) - pixels_of(lines))
        for each in ("4:4:4", "4:2:2", "4:2:0")
    ]

    assert losses[0].max() < 10
    assert losses[1].mean() < 10
    assert losses[2].mean() > 40


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_is_progressive_if_asked_for(mode):
    image = sample(mode, (40, 30))

    plain, progressive = written(image, "jpeg"), written(image, "jpeg", progressive=True)

    assert not opened(plain).info.get("progressive")
    assert opened(progressive).info["progressive"]
    assert (pixels(plain) == pixels(progressive)).all()


@pytest.mark.parametrize("options", [{"progressive": True}, {"effort": 9}])
def test_noise_that_hardly_can_be_compressed_is_written_all_the_same(options, capfd):
    noise = np.random.default_rng(1).integers(0, 2, (300, 400, 3), dtype=np.uint8) * 255
    image = Image.fromarray(noise)

    result = pixels(written(image, "jpeg", quality=100, subsampling="4:4:4", **options))

    assert np.abs(result - pixels_of(image)).max() < 8
    # What libjpeg has to say about it.
    capfd.readouterr()


# What there is no room for


@pytest.mark.parametrize(
    ("kind", "name", "longest"),
    [
        ("jpeg", "a JPEG", 65_500),
        ("webp", "a WebP", 16_383),
        ("gif", "a GIF", 65_535),
        ("avif", "an AVIF", 32_768),
    ],
)
def test_an_edge_is_as_long_as_the_format_allows_and_no_longer(kind, name, longest):
    assert opened(written(Image.new("L", (longest, 1)), kind)).size == (longest, 1)

    with pytest.raises(
        ImpossibleRecipe,
        match=rf"^the picture would be 1 x {longest + 1:,} pixels, "
        rf"and an edge of {name} has at most {longest:,}$",
    ):
        written(Image.new("L", (1, longest + 1)), kind)


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("size", [(70_000, 1), (1, 70_000)])
def test_other_formats_have_room_for_any_edge(kind, size):
    assert opened(written(Image.new("RGB", size), kind)).size == size


@pytest.mark.parametrize(
    ("kind", "demand"), [*((kind, {}) for kind in FORMATS), ("webp", {"lossless": True})]
)
def test_a_file_that_is_too_long_whatever_is_done_is_impossible(kind, demand):
    with pytest.raises(ImpossibleRecipe, match=r" [0-9,]+ bytes, and max_bytes is 20$"):
        written(photograph(40, 30), kind, max_bytes=20, **demand)


@pytest.mark.parametrize("kind", ["png", "gif", "tiff"])
def test_a_file_of_which_there_is_but_one_is_told_to_be_too_long(kind):
    image = photograph(40, 30)
    size = len(written(image, kind))

    assert len(written(image, kind, max_bytes=size)) == size
    with pytest.raises(
        ImpossibleRecipe, match=rf"^the file takes {size:,} bytes, and max_bytes is {size - 1:,}$"
    ):
        written(image, kind, max_bytes=size - 1)


def test_a_likeness_that_takes_too_many_bytes_is_impossible():
    with pytest.raises(
        ImpossibleRecipe, match=r"^an SSIM of 0\.95 takes [0-9,]+ bytes, and max_bytes is 999$"
    ):
        written(photograph(80, 60), "jpeg", min_ssim=0.95, max_bytes=999)


@pytest.mark.parametrize("kind", FORMATS)
def test_how_like_it_is_is_measured_if_that_is_wanted(kind):
    found = encode([photograph(64, 48)], kind, Encoding(), measured=True)

    assert 0.9 < ssim_of(found) <= 1
    assert found.data == written(photograph(64, 48), kind)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_what_loses_nothing_is_entirely_alike(kind):
    assert encode([sample("RGBA", (40, 30))], kind, Encoding(min_ssim=1)).ssim == 1


@pytest.mark.parametrize("kind", ["png", "gif"])
def test_a_palette_may_not_be_alike_enough(kind):
    image = photograph(40, 30)

    assert 0.3 < ssim_of(encode([image], kind, Encoding(min_ssim=0.01, colors=4))) < 0.98
    with pytest.raises(ImpossibleRecipe, match=r"^the SSIM is 0\.[0-9]{4}, and min_ssim is 0\.99$"):
        written(image, kind, min_ssim=0.99, colors=4)


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "avif"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOMEM, errno.EFBIG])
def test_a_file_for_which_the_system_has_no_room_is_said_to_have_none(kind, number, monkeypatch):
    def refuse(name):
        raise OSError(number, "no room")

    monkeypatch.setattr(os, "memfd_create", refuse)

    with pytest.raises(NoRoom):
        written(photograph(8, 8), kind)


# Giving up


@pytest.mark.parametrize("kind", FORMATS)
def test_nothing_is_written_once_it_is_to_stop(kind):
    with pytest.raises(RenderStopped):
        encode([photograph(8, 8)], kind, Encoding(), stopped=lambda: True)


@pytest.mark.parametrize("demand", [{"max_bytes": 3_000}, {"min_ssim": 0.95}])
def test_it_stops_between_two_attempts(demand):
    asked = []

    def stopped():
        asked.append(True)
        return len(asked) > 3

    with pytest.raises(RenderStopped):
        encode([photograph(80, 60)], "jpeg", Encoding(**demand), stopped=stopped)


@pytest.mark.parametrize("kind", sorted(ANIMATED))
def test_it_stops_between_two_frames(kind):
    asked = []

    def stopped():
        asked.append(True)
        return len(asked) > 5

    with pytest.raises(RenderStopped):
        encode(moving(8), kind, Encoding(), timing=Timing((50,) * 8), stopped=stopped)


# Animations


def moving(frames, mode="RGB", size=(48, 40)):
    """A square that moves over something that stands still, or over nothing."""
    images = []
    for number in range(frames):
        if mode in {"LA", "RGBA"}:
            image = Image.new(mode, size, 0)
        else:
            image = quarters(*size).convert(mode)
        square = Image.new(mode, (8, 8), "purple")
        image.paste(square, (4 * number % (size[0] - 8), 10))
        images.append(image)
    return images


def played(data):
    """The frames, for how long each is shown, and how often they are."""
    image = opened(data)
    frames, durations = [], []
    for number in range(getattr(image, "n_frames", 1)):
        image.seek(number)
        image.load()
        frames.append(image.convert("RGBA"))
        durations.append(image.info.get("duration"))
    return frames, durations, image.info.get("loop")


def gif_disposals(data):
    return [
        data[at + 3] >> 2 for at in range(len(data) - 3) if data[at : at + 3] == b"\x21\xf9\x04"
    ]


@pytest.mark.parametrize("kind", sorted(ANIMATED))
@pytest.mark.parametrize("mode", MODES)
def test_every_frame_is_as_it_was(kind, mode):
    frames = moving(6, mode)
    durations = (100, 40, 1000, 70, 20, 500)
    exact = {"lossless": True} if kind == "webp" else {"quality": 90}

    result = encode(frames, kind, Encoding(**exact), timing=Timing(durations))

    shown, lasting, _ = played(result.data)
    assert sniff(result.data) == kind
    assert tuple(lasting) == durations
    assert len(shown) == len(frames)
    for one, other in zip(shown, frames, strict=True):
        assert likeness(one, other) <= (5 if kind == "avif" else 0)
        if kind == "avif":
            assert np.abs(seen(one)[..., 3] - seen(other)[..., 3]).mean() < 3
        else:
            assert (seen(one) == seen(other)).all()


@pytest.mark.parametrize("kind", sorted(ANIMATED))
@pytest.mark.parametrize("loops", [0, 1, 2, 7])
def test_it_plays_as_often_as_it_should(kind, loops):
    data = encode(moving(3), kind, Encoding(), timing=Timing((100, 100, 50), loops)).data

    assert plays(data) == inspect(data).loops == loops


def plays(data):
    """How often an animation plays in all, 0 for ever, by what the formats say of themselves."""
    kind = sniff(data)
    if kind == "webp":
        return int.from_bytes(data[data.index(b"ANIM") + 12 :][:2], "little")
    if kind == "gif":
        extension = b"NETSCAPE2.0\x03\x01"
        if extension not in data:
            return 1
        again = int.from_bytes(data[data.index(extension) + len(extension) :][:2], "little")
        return again + 1 if again else 0
    if kind == "png":
        return int.from_bytes(data[data.index(b"acTL") + 8 :][:4], "big")
    whole = int.from_bytes(data[data.index(b"tkhd") + 32 :][:8], "big")
    of_movie = int.from_bytes(data[data.index(b"mvhd") + 28 :][:8], "big")
    once = int.from_bytes(data[data.index(b"elst") + 12 :][:8], "big")
    repeats = data[data.index(b"elst") + 7] & 1
    assert repeats
    assert whole == of_movie
    return 0 if whole == 2**64 - 1 else whole // once


@pytest.mark.parametrize("kind", sorted(ANIMATED))
@pytest.mark.parametrize("loops", [65_535, 65_536, 2**31])
def test_as_often_as_a_format_can_say_is_often_enough(kind, loops):
    data = encode(moving(2), kind, Encoding(), timing=Timing((100, 100), loops)).data

    assert plays(data) >= 65_535


@pytest.mark.parametrize("kind", sorted(ANIMATED))
def test_frames_that_are_equal_keep_their_time(kind):
    one, other = moving(2)
    frames = [one, one, one, other, one, one]

    data = encode(frames, kind, Encoding(), timing=Timing((100, 50, 30, 40, 70, 110))).data

    shown, lasting, _ = played(data)
    ends = np.cumsum(lasting)
    at = [shown[int(np.searchsorted(ends, time, side="right"))] for time in (0, 179, 180, 219, 220)]
    for image, expected in zip(at, (one, one, other, other, one), strict=True):
        assert likeness(image, expected) < 6
    assert ends[-1] == 400


@pytest.mark.parametrize("kind", sorted(ANIMATED))
def test_frames_that_are_all_equal_can_be_written(kind):
    frames = [photograph(20, 20)] * 3

    result = encode(frames, kind, Encoding(min_ssim=0.5), timing=Timing((100, 0, 100)))

    assert likeness(played(result.data)[0][0], frames[0]) < 20
    assert ssim_of(result) >= 0.5


@pytest.mark.parametrize("kind", sorted(ANIMATED))
@pytest.mark.parametrize("durations", [(0, 0, 0), (1, 10**9, 2**40), (5, 16, 11)])
def test_any_durations_can_be_written(kind, durations):
    data = encode(moving(3), kind, Encoding(), timing=Timing(durations)).data

    _, lasting, _ = played(data)
    longest = {"gif": 655_350, "png": 2**16 - 1}.get(kind, 2**24 - 1)
    for one, other in zip(lasting, durations, strict=True):
        assert abs((one or 0) - min(other, longest)) <= 10


def test_a_png_that_moves_has_no_palette():
    with pytest.raises(ImpossibleRecipe, match="a PNG that moves is not written with a palette"):
        encode(moving(3), "png", Encoding(colors=8), timing=Timing((100,) * 3))


@pytest.mark.parametrize("mode", MODES)
def test_frames_of_a_png_are_exact(mode):
    frames = moving(5, mode)

    shown, lasting, _ = played(
        encode(frames, "png", Encoding(), timing=Timing((10, 33, 7, 100, 1))).data
    )

    assert lasting == [10, 33, 7, 100, 1]
    for one, other in zip(shown, frames, strict=True):
        assert (seen(one) == seen(other)).all()


def test_a_gif_makes_up_for_what_rounding_takes():
    data = encode(moving(9), "gif", Encoding(), timing=Timing((33,) * 9)).data

    lasting = played(data)[1]
    assert set(lasting) == {30, 40}
    assert abs(sum(lasting) - 9 * 33) <= 5


def test_rounding_makes_no_frame_of_a_gif_so_short_that_browsers_stop_at_it():
    durations = (16, 16, 16, 12, 16, 11, 500)

    lasting = played(encode(moving(7), "gif", Encoding(), timing=Timing(durations)).data)[1]

    assert min(lasting) == 20
    assert abs(lasting[-1] - 500) <= 10


@pytest.mark.parametrize("kind", sorted(ANIMATED))
def test_one_frame_is_a_still(kind):
    image = photograph(20, 20)

    still = encode([image], kind, Encoding())

    assert encode([image], kind, Encoding(), timing=Timing((100,), 3)) == still
    assert encode([image, image], kind, Encoding()) == still


@pytest.mark.parametrize("kind", sorted(set(FORMATS) - ANIMATED))
def test_what_cannot_move_shows_the_first_frame(kind):
    frames = moving(3)

    result = encode(frames, kind, Encoding(), timing=Timing((1, 2, 3)))

    assert result == encode(frames[:1], kind, Encoding())


@pytest.mark.parametrize("kind", sorted(ANIMATED))
def test_the_same_frames_give_the_same_bytes_at_any_time(kind):
    data = encode(moving(3), kind, Encoding(), timing=Timing((100,) * 3)).data

    assert data == encode(moving(3), kind, Encoding(), timing=Timing((100,) * 3)).data
    if kind == "avif":
        for box in (b"mvhd", b"tkhd", b"mdhd"):
            created_and_changed = data[data.index(box) + 8 :][:16]
            assert created_and_changed == bytes(16)


def test_both_tracks_of_a_translucent_avif_play_alike():
    data = encode(moving(3, "RGBA"), "avif", Encoding(), timing=Timing((10, 20, 30), 2)).data

    first = data.index(b"tkhd")
    second = data.index(b"tkhd", first + 1)
    for place in (first, second):
        assert struct.unpack_from(">QQ", data, place + 8) == (0, 0)
        assert struct.unpack_from(">Q", data, place + 32) == (120,)


def test_what_stands_still_is_drawn_once_in_a_gif():
    still, moved = photograph(200, 150), photograph(200, 150)
    moved.paste(RED, (50, 60, 60, 65))

    one = encode([still], "gif", Encoding()).data
    both = encode([still, moved], "gif", Encoding(), timing=Timing((100, 100))).data

    assert len(both) < len(one) + 400
    # It is not there again, in colours that differ a little.
    shown, _, _ = played(both)
    changed = (seen(shown[0]) != seen(shown[1])).any(axis=2)
    assert changed.sum() == 50
    assert changed[60:65, 50:60].all()


def test_each_frame_of_a_gif_has_colours_of_its_own():
    frames = [photograph(60, 40, seed).convert("RGB") for seed in range(3)]

    shown, _, _ = played(encode(frames, "gif", Encoding(), timing=Timing((50,) * 3)).data)

    for one, other in zip(shown, frames, strict=True):
        assert likeness(one, other) < 7


def test_the_number_of_colours_holds_for_each_frame_of_a_gif():
    frames = [sample("RGBA", (40, 30), seed) for seed in (1, 5, 9)]

    data = encode(frames, "gif", Encoding(colors=8), timing=Timing((50,) * 3)).data

    for frame in played(data)[0]:
        # What an earlier frame has left keeps its colours.
        assert len(frame.getcolors(10_000)) <= 3 * 8
    assert len(played(data)[0][0].getcolors()) <= 8


@pytest.mark.parametrize("seed", range(30))
def test_whatever_comes_and_goes_in_a_gif_is_seen_and_gone(seed):
    chance = np.random.default_rng(seed)
    colours = np.array([(*RED, 255), (*GREEN, 255), (*BLUE, 255), (0, 0, 0, 255), (0, 0, 0, 0)])
    canvas = chance.integers(0, 5, (9, 11))
    frames = []
    for _ in range(8):
        left, top = chance.integers(0, 11), chance.integers(0, 9)
        part = canvas[top : top + chance.integers(0, 9), left : left + chance.integers(0, 11)]
        part[:] = chance.integers(0, 5, part.shape) if chance.random() < 0.6 else 4
        frames.append(Image.fromarray(colours[canvas].astype(np.uint8)))

    data = encode(frames, "gif", Encoding(), timing=Timing((100,) * 8)).data

    shown, lasting, _ = played(data)
    assert lasting == [100] * 8
    for one, other in zip(shown, frames, strict=True):
        assert (seen(one) == seen(other)).all()


@pytest.mark.parametrize("kind", sorted(ANIMATED))
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_opaque_at_first_can_become_transparent(kind, mode):
    frames = [Image.new(mode, (12, 10), "purple") for _ in range(3)]
    frames[1].paste((0,) * len(mode), (3, 3, 9, 9))
    frames[2].paste((0,) * len(mode), (0, 0, 12, 10))

    shown, _, _ = played(encode(frames, kind, Encoding(), timing=Timing((100,) * 3)).data)

    for one, other in zip(shown, frames, strict=True):
        alphas = seen(one)[..., 3], seen(other)[..., 3]
        assert np.abs(alphas[0] - alphas[1]).mean() < 20


@pytest.mark.parametrize("kind", sorted(ANIMATED))
def test_what_no_frame_covers_is_transparent(kind):
    frames = moving(3, "RGBA")

    shown, _, _ = played(encode(frames, kind, Encoding(), timing=Timing((100,) * 3)).data)

    for frame in shown:
        assert seen(frame)[-1, -1].tolist() == [0, 0, 0, 0]


def test_a_gif_clears_only_what_has_to_go():
    data = encode(moving(3, "RGBA"), "gif", Encoding(), timing=Timing((100,) * 3)).data
    opaque = encode(moving(3, "RGB"), "gif", Encoding(), timing=Timing((100,) * 3)).data

    assert gif_disposals(data) == [2, 2, 1]
    assert gif_disposals(opaque) == [1, 1, 1]


class OneByOne(Sequence[Image.Image]):
    """Frames that are made when they are asked for, and that tells how many are there at a time."""

    def __init__(self, number):
        self.number, self.asked, self.made, self.most = number, [], [], 0

    def __len__(self):
        return self.number

    def __getitem__(self, number):
        self.asked.append(number)
        frame = moving(number + 1)[-1]
        self.made.append(weakref.ref(frame))
        self.most = max(self.most, sum(made() is not None for made in self.made))
        return frame


@pytest.mark.parametrize("kind", sorted(ANIMATED))
def test_frames_are_taken_one_after_the_other_and_let_go(kind):
    frames = OneByOne(12)

    encode(frames, kind, Encoding(), timing=Timing((50,) * 12))

    assert list(dict.fromkeys(frames.asked)) == list(range(12))
    # Pillow's writer of PNGs looks at all of them before.
    assert len(frames.asked) <= (27 if kind == "png" else 15)
    assert frames.most <= 3


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_an_animation_is_as_good_as_its_worst_frame(kind):
    frames = [Image.new("RGB", (64, 48), "gray"), photograph(64, 48), Image.new("RGB", (64, 48))]
    timing = Timing((100, 100, 100))

    found = encode(frames, kind, Encoding(min_ssim=0.9), timing=timing)
    alone = encode(frames[:1], kind, Encoding(min_ssim=0.9))

    assert len(found.data) > 3 * len(alone.data)
    assert 0.9 <= ssim_of(found) < 0.99


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_an_animation_can_be_made_to_fit(kind):
    frames = [photograph(64, 48, seed) for seed in range(4)]
    timing = Timing((100,) * 4)
    usual = encode(frames, kind, Encoding(), timing=timing).data

    result = encode(frames, kind, Encoding(max_bytes=len(usual) // 2), timing=timing)

    assert len(usual) // 3 < len(result.data) <= len(usual) // 2
    assert played(result.data)[1] == [100] * 4
