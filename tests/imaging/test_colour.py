"""Colours that a profile explains: what they are in sRGB, and whether they are that already."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms

from actors.imaging.colour import to_srgb
from actors.imaging.perception import level
from tests.imaging.pictures import colour_profile, photograph

PRIMARIES = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
DISPLAY_P3 = (0.5151, 0.2412, -0.0011), (0.292, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)
MADE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def curve(entries):
    """The curve of sRGB as a table, as most programs write it."""
    shares = (number / (entries - 1) for number in range(entries))
    return [
        round(65_535 * (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4))
        for x in shares
    ]


SRGB = colour_profile(*PRIMARIES, curve=curve(1024), called="Who knows")


def converted(image, profile):
    return np.asarray(to_srgb(image, profile)).astype(int)


@pytest.mark.parametrize(
    "called", ["GIMP built-in Linear sRGB", "sRGB-elle-V2-g10.icc", "Linear light"]
)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_linear_light_is_shown_as_bright_as_it_is_whatever_the_profile_is_called(mode, called):
    linear = colour_profile(*PRIMARIES, gamma=1, called=called)
    light = Image.frombytes("L", (256, 1), bytes(range(256))).convert(mode)

    shown = converted(light, linear)

    expected = [level(each / 255) for each in range(256)]
    grey = shown.reshape(256, -1)[:, 0]
    assert np.abs(grey - expected).max() <= 2


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize(
    "profile", [MADE, SRGB, colour_profile(*PRIMARIES, curve=curve(26)), SRGB.ljust(70_000, b"\0")]
)
def test_srgb_by_any_name_stays_as_it_is(profile, mode):
    image = photograph(64, 48).convert(mode)

    assert to_srgb(image, profile) is image


def test_a_profile_for_pictures_of_another_kind_explains_nothing():
    image = photograph(64, 48).convert("CMYK")

    assert (converted(image, SRGB) == np.asarray(image.convert("RGB"))).all()
    assert (converted(image, colour_profile(*DISPLAY_P3)) == converted(image, None)).all()


@pytest.mark.parametrize(
    "profile", [SRGB, MADE, colour_profile(*DISPLAY_P3, curve=curve(1024))], ids=["table", "", "P3"]
)
def test_what_a_usual_profile_means_is_found_out_once(profile):
    image = Image.new("RGB", (8, 8), "red")
    to_srgb(image, profile)

    times = []
    for _ in range(20):
        start = time.perf_counter()
        to_srgb(image, bytes(bytearray(profile)))
        times.append(time.perf_counter() - start)

    # To find it out takes 3 to 5 ms.
    assert min(times) < 0.001


def test_threads_that_share_a_profile_all_get_the_same():
    profile = colour_profile(*DISPLAY_P3, gamma=1.8)
    images = [photograph(200, 150, seed) for seed in range(4)]
    alone = [to_srgb(image, profile).tobytes() for image in images]

    with ThreadPoolExecutor(4) as threads:
        shared = list(threads.map(lambda image: to_srgb(image, profile).tobytes(), images * 8))

    assert shared == alone * 8
