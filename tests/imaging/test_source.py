"""The original of a render: decoded once, and what of it an output may keep."""

import numpy as np
import pytest

import actors.imaging.source
from actors.imaging.decode import decode
from actors.imaging.inspect import inspect
from actors.imaging.recipe import Encoding
from actors.imaging.source import Source
from tests.imaging.pictures import colour_profile, exif, photograph, written

PROFILE = colour_profile((0.44, 0.22, 0.01), (0.38, 0.72, 0.1), (0.14, 0.06, 0.71))


def source(data, *wanted):
    return Source(data, inspect(data), wanted)


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ((), (640, 480)),
        ((None,), (640, 480)),
        (((40, 30),), (80, 60)),
        (((40, 30), (300, 20)), (640, 480)),
        (((40, 100), (100, 30)), (160, 120)),
        (((40, 30), None), (640, 480)),
    ],
)
def test_a_photograph_is_decoded_as_large_as_the_largest_output_needs(wanted, size):
    assert source(written(photograph(640, 480), "jpeg"), *wanted).still.image.size == size


def test_it_is_decoded_once_and_not_before_somebody_asks(monkeypatch):
    decoded = []

    def counting(*args):
        decoded.append(args)
        return decode(*args)

    monkeypatch.setattr(actors.imaging.source, "decode", counting)
    original = source(written(photograph(64, 48), "png"))
    assert not decoded

    first, second = original.still, original.still

    assert first is second
    assert len(decoded) == 1


def test_frames_come_with_their_durations_and_the_profile():
    images = [photograph(32, 24, seed) for seed in range(3)]
    data = written(
        *(images[0], "webp"),
        save_all=True,
        append_images=images[1:],
        duration=[20, 30, 40],
        icc_profile=PROFILE,
    )

    seen = [(frame.box, frame.profile, duration) for frame, duration in source(data).frames()]

    assert seen == [((0, 0, 32, 24), PROFILE, duration) for duration in (20, 30, 40)]


def test_the_profile_and_the_exif_are_kept_where_an_output_says_so():
    about = exif(6)
    data = written(photograph(32, 24), "jpeg", exif=b"Exif\0\0" + about, icc_profile=PROFILE)
    original = source(data)

    assert original.profile(Encoding(profile="keep")) == PROFILE
    assert original.profile(Encoding()) is original.profile(Encoding(profile="strip")) is None
    assert original.exif(Encoding(), 1) is None
    assert original.exif(Encoding(metadata="all"), 1) == b""


@pytest.mark.parametrize(
    ("wanted", "size", "box"),
    [
        ((300, 200), (639, 479), (0, 0, 639, 479)),
        ((160, 120), (320, 240), (0, 0, 319.5, 239.5)),
        ((40, 30), (80, 60), (0, 0, 79.875, 59.875)),
    ],
)
def test_a_small_output_gets_what_it_would_get_alone(wanted, size, box):
    data = written(photograph(639, 479), "jpeg")
    original = source(data, (300, 200), (160, 120), (40, 30))
    alone = source(data, wanted).still

    seen = original.still_for(wanted)

    assert seen.image.size == alone.image.size == size
    assert seen.box == alone.box == box
    assert original.still_for(wanted) is seen
    difference = np.asarray(seen.image).astype(int) - np.asarray(alone.image)
    assert np.abs(difference).mean() < 2


def test_what_is_no_photograph_is_the_same_for_all_outputs():
    original = source(written(photograph(64, 48), "png"), (32, 24), (2, 2))

    assert original.still_for((2, 2)) is original.still_for(None) is original.still
