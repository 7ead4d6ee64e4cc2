"""Metadata: found in every format, and rewritten so that nothing of the original file is left."""

import itertools
import struct
import zlib
from typing import get_args

import pytest
from PIL import ExifTags, Image

from actors.imaging.encode import Timing, encode
from actors.imaging.exif import exif_kept, orientation
from actors.imaging.facts import MAX_PROFILE, Limits, Written
from actors.imaging.ifd import ASCII, LONG, write_directory, write_header
from actors.imaging.inspect import SUFFIXES, inspect
from actors.imaging.metadata import Metadata, has_metadata, metadata
from actors.imaging.recipe import Encoding
from tests.fuzz.chance import mutations
from tests.imaging.containers import avif, box, coded, ispe, plain_tiff, reference, tiff
from tests.imaging.pictures import (
    chunk,
    colour_profile,
    exif,
    gif,
    photograph,
    png,
    riff,
    segment,
    with_segments,
    written,
)

LIMITS = Limits(formats=frozenset(SUFFIXES))
PROFILE = colour_profile((0.44, 0.22, 0.01), (0.38, 0.72, 0.1), (0.14, 0.06, 0.71))
MAKE, ORIENTATION, ARTIST, COPYRIGHT = 0x010F, 0x0112, 0x013B, 0x8298
CAMERA, PLACE = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo
MAKERS_NOTES, TAKEN, WIDTH = 0x927C, 0x9003, 0xA002


def camera_exif(order="<"):
    """What a camera writes, as bytes: thumbnail, notes and place, and who has the rights."""
    about = Image.Exif()
    about.endian = order
    about[MAKE] = "Maker of Cameras"
    about[ORIENTATION] = 6
    about[0x011A] = 300.0
    about[ARTIST] = "A. Artist"
    about[COPYRIGHT] = "(c) A. Artist"
    about.get_ifd(CAMERA).update(
        {TAKEN: "2024:05:06 07:08:09", MAKERS_NOTES: b"II" + bytes(500), WIDTH: 4000,
         0x829A: 0.008, 0xA001: 2}
    )  # fmt: skip
    about.get_ifd(PLACE).update({1: "N", 2: (52.0, 30.0, 0.5), 3: "E", 4: (13.0, 22.0, 59.9)})
    return about.tobytes().removeprefix(b"Exif\0\0")


def read(data):
    about = Image.Exif()
    about.load(b"Exif\0\0" + data)
    return about


def plain_directory(fields):
    return write_header("<", 8) + write_directory("<", fields, 8)


def with_directory(fields, tag, others):
    """EXIF with a directory, in which `tag` points at another one."""
    start = len(plain_directory({**fields, tag: (LONG, 1, bytes(4))}))
    pointer = LONG, 1, struct.pack("<I", start)
    return plain_directory({**fields, tag: pointer}) + write_directory("<", others, start)


def metadata_of(data):
    return metadata(data, inspect(data, LIMITS))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
def test_exif_and_profile_are_found(kind):
    about = metadata_of(
        written(photograph(20, 10), kind, exif=b"Exif\0\0" + camera_exif(), icc_profile=PROFILE)
    )

    assert about.profile == PROFILE
    assert read(about.exif)[MAKE] == "Maker of Cameras"
    assert read(about.exif).get_ifd(PLACE)[1] == "N"


def test_the_directory_of_a_tiff_is_its_exif():
    data = written(photograph(20, 10), "tiff", exif=read(camera_exif()), icc_profile=PROFILE)

    about = metadata_of(data)
    kept = read(exif_kept(about.exif, "all"))

    assert about.profile == PROFILE
    assert (kept[MAKE], kept[ARTIST]) == ("Maker of Cameras", "A. Artist")
    assert kept.get_ifd(CAMERA)[TAKEN] == "2024:05:06 07:08:09"
    assert set(kept) == {MAKE, ORIENTATION, 0x011A, ARTIST, COPYRIGHT, CAMERA, PLACE}


@pytest.mark.parametrize("kind", get_args(Written))
def test_what_has_no_metadata_has_none(kind):
    about = metadata_of(written(photograph(20, 10), kind))

    assert about == Metadata(b"", None)


def test_a_profile_in_pieces_is_put_together_in_their_order():
    photo = written(photograph(20, 10), "jpeg")
    whole = bytes(range(256)) * 500
    pieces = [
        segment(0xE2, b"ICC_PROFILE\0" + bytes((number + 1, 3)) + whole[start : start + 60_000])
        for number, start in enumerate(range(0, len(whole), 60_000))
    ]

    assert metadata_of(with_segments(photo, pieces[2], pieces[0], pieces[1])).profile == whole
    assert metadata_of(with_segments(photo, pieces[0], pieces[2])).profile is None
    assert metadata_of(with_segments(photo, *pieces, pieces[0])).profile is None


@pytest.mark.parametrize("surplus", [0, 1])
def test_profiles_are_bounded(surplus):
    profile = bytes(MAX_PROFILE + surplus)
    stream, config = coded(photograph(64, 64))
    still = written(photograph(20, 10), "webp")[12:]
    canvas = struct.pack("<I", 32) + b"\x13\0\0\x09\0\0"
    files = [
        riff((b"VP8X", canvas), (b"ICCP", profile), (still[:4], still[8:])),
        avif([(b"av01", stream)], [ispe(64, 64), config, box(b"colr", b"prof", profile)],
             {1: [1, 2, 3]}),
        plain_tiff(t34675=(7, *profile)),
        png(1, 1, bytes(4), before=chunk(b"iCCP", b"a\0\0" + zlib.compress(profile))),
    ]  # fmt: skip

    assert [metadata_of(data).profile for data in files] == [None if surplus else profile] * 4


def test_exif_of_another_item_of_an_avif_is_not_that_of_the_picture():
    stream, config = coded(photograph(64, 64))
    items = [(b"av01", stream), (b"av01", stream), (b"Exif", bytes(4) + camera_exif())]
    properties = [ispe(64, 64), config], {1: [1, 2], 2: [1, 2]}

    of_another = avif(items, *properties, references=reference(b"cdsc", 3, 2))
    of_it = avif(items, *properties, references=reference(b"cdsc", 3, 1))

    assert metadata_of(of_another).exif == b""
    assert metadata_of(of_it).exif == camera_exif()


@pytest.mark.parametrize("order", "<>")
def test_all_is_everything_that_is_still_true(order):
    kept = read(exif_kept(camera_exif(order), "all"))

    assert dict(kept) == {
        MAKE: "Maker of Cameras",
        ORIENTATION: 1,
        0x011A: 300.0,
        ARTIST: "A. Artist",
        COPYRIGHT: "(c) A. Artist",
        CAMERA: kept[CAMERA],
        PLACE: kept[PLACE],
    }
    assert kept.get_ifd(CAMERA) == {TAKEN: "2024:05:06 07:08:09", 0x829A: 0.008}
    assert kept.get_ifd(PLACE) == {1: "N", 2: (52.0, 30.0, 0.5), 3: "E", 4: (13.0, 22.0, 59.9)}


@pytest.mark.parametrize("order", "<>")
def test_copyright_is_nothing_but_names(order):
    kept = exif_kept(camera_exif(order), "copyright")

    assert dict(read(kept)) == {
        ORIENTATION: 1, ARTIST: "A. Artist", COPYRIGHT: "(c) A. Artist"
    }  # fmt: skip
    assert b"Maker" not in kept
    assert b"2024" not in kept


@pytest.mark.parametrize("which", ["copyright", "all"])
def test_the_thumbnail_is_gone(which):
    thumbnail = written(photograph(16, 16), "jpeg")
    fields = {COPYRIGHT: (2, *b"mine\0"), 0x010E: (2, *b"words\0")}
    start = len(tiff(fields))
    second = tiff({0x0103: (3, 6), 0x0201: (4, start + 99), 0x0202: (4, len(thumbnail))})[8:]
    data = (tiff(fields, following=start) + second).ljust(start + 99, b"\0") + thumbnail

    kept = exif_kept(data, which)

    assert thumbnail[:20] not in kept
    assert read(kept)[COPYRIGHT] == "mine"
    assert len(kept) < 120


@pytest.mark.parametrize("which", ["copyright", "all"])
@pytest.mark.parametrize(
    "nothing",
    [
        b"",
        b"II*\0",
        b"II+\0\x08\0\0\0" + bytes(20),
        b"II*\0\xff\xff\xff\xff",
        exif(6),
        exif(6)[:-12],
        b"XX" + camera_exif()[2:],
        b"Exif\0\0" + camera_exif(),
        tiff({ARTIST: (2, *b"name")}).replace(b"\4\0\0\0name", b"\xff\xff\xff\x7fname"),
        tiff({CAMERA: (4, 8), PLACE: (4, 2**32 - 1)}),
        tiff({MAKERS_NOTES: (7, *bytes(100)), 0x0111: (4, 8), 0x02BC: (1, *b"<xmp>")}),
    ],
)
def test_of_nothing_worth_keeping_nothing_is_kept(nothing, which):
    assert exif_kept(nothing, which) == b""


def test_what_does_not_fit_into_a_jpeg_is_left_out():
    data = tiff(
        {0x010E: (2, *bytes(64_999)), ARTIST: (2, *b"short\0"), 0x9286: (7, *bytes(70_000))}
    )

    kept = exif_kept(data, "all")

    assert dict(read(kept)) == {ORIENTATION: 1, ARTIST: "short"}


def test_texts_are_kept_as_long_as_there_is_room():
    text = ASCII, 4_096, b"x" * 4_096
    main = dict.fromkeys((0x010D, 0x010E, MAKE, 0x0110, 0x0131, COPYRIGHT), text)
    camera = dict.fromkeys((TAKEN, *range(0xA433, 0xA43D)), text)

    kept = exif_kept(with_directory(main, CAMERA, camera), "all")

    assert 60_000 < len(kept) < 65_500
    assert read(kept)[MAKE] == read(kept)[COPYRIGHT] == "x" * 4_096
    assert 0 < len(read(kept).get_ifd(CAMERA)) < len(camera)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("directory", [None, CAMERA, PLACE])
def test_no_field_whatsoever_has_room_for_a_picture(directory, kind):
    picture = written(photograph(16, 16), "jpeg")[: 10 * 8 * 8]
    value = kind, len(picture) // {3: 2, 4: 4, 5: 8}.get(kind, 1), picture

    for first in range(0, 2**16, 512):
        fields = dict.fromkeys(range(first, first + 512), value)
        data = with_directory({}, directory, fields) if directory else plain_directory(fields)
        assert exif_kept(data, "all") == exif_kept(data, "copyright") == b""


@pytest.mark.parametrize("tag", [0x010E, COPYRIGHT])
@pytest.mark.parametrize("value", [b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0", b"x" * 4_097, b"\x7f"])
def test_what_is_no_text_or_too_long_a_one_is_not_kept_as_one(value, tag):
    assert exif_kept(plain_directory({tag: (ASCII, len(value), value)}), "all") == b""


def test_who_took_it_and_who_edited_it_may_be_told_apart_by_a_zero():
    both = "Fotografin\0Verlag für Bilder\0".encode()

    kept = exif_kept(plain_directory({COPYRIGHT: (ASCII, len(both), both)}), "copyright")

    assert both in kept


@pytest.mark.parametrize("which", ["copyright", "all"])
@pytest.mark.parametrize("about", [camera_exif(), b""])
def test_a_result_that_is_turned_says_so(about, which):
    kept = exif_kept(about, which, 6)

    assert orientation(kept) == 6
    assert exif_kept(about, which) == exif_kept(kept, which)


@pytest.mark.parametrize("which", ["copyright", "all"])
def test_what_is_kept_is_kept_again(which):
    kept = exif_kept(camera_exif(), which)

    assert exif_kept(kept, which) == kept
    assert orientation(kept) == 1


@pytest.mark.parametrize("order", "<>")
def test_whatever_chance_makes_of_exif_what_is_kept_is_sound(order):
    for changed in itertools.islice(mutations(camera_exif(order), 5), 500):
        for which in ("copyright", "all"):
            kept = exif_kept(changed, which)

            assert exif_kept(kept, which) == kept
            assert len(kept) < 65_500
            assert set(read(kept)) <= {ORIENTATION, ARTIST, COPYRIGHT} or which == "all"


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
def test_what_is_kept_can_be_written_into_every_format(kind):
    kept = exif_kept(camera_exif(), "all")

    data = written(photograph(20, 10), kind, exif=b"Exif\0\0" * (kind == "jpeg") + kept)

    assert inspect(data).orientation == 1
    assert read(metadata_of(data).exif)[COPYRIGHT] == "(c) A. Artist"


# Whether there are any

PHOTO = photograph(20, 10)
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


@pytest.mark.parametrize(
    "data",
    [
        written(PHOTO, "jpeg", exif=b"Exif\0\0" + exif(1)),
        written(PHOTO, "jpeg", xmp=XMP),
        written(PHOTO, "jpeg", comment=b"A comment"),
        with_segments(written(PHOTO, "jpeg"), segment(0xED, b"Photoshop 3.0\x008BIM")),
        with_segments(written(PHOTO, "jpeg"), segment(0xE2, b"MPF\0" + bytes(20))),
        with_segments(written(PHOTO, "jpeg"), segment(0xE0, b"JFXX\0\x10" + bytes(30))),
        written(PHOTO, "png", exif=exif(1)),
        *(
            png(1, 1, bytes(4), **{place: chunk(kind, b"Title\0\0\0\0\0A title")})
            for kind in (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"prVt")
            for place in ("before", "after")
        ),
        written(PHOTO, "webp", exif=exif(1)),
        written(PHOTO, "webp", xmp=XMP),
        written(PHOTO, "avif", exif=camera_exif()),
        written(PHOTO, "avif", xmp=XMP),
        written(PHOTO, "gif", comment=b"A comment"),
        gif(1, 1, before=b"!\xff\x0bXMP DataXMP\3<x>\0"),
        gif(1, 1, before=b"!\x01\3abc\0"),
        written(PHOTO, "tiff", exif=read(camera_exif())),
        plain_tiff(t700=(1, *XMP)),
        plain_tiff(t33723=(7, *bytes(20))),
        plain_tiff(t65000=(7, *bytes(20))),
    ],
)
def test_whatever_a_file_says_besides_is_found(data):
    assert has_metadata(data, inspect(data, LIMITS))


@pytest.mark.parametrize("kind", get_args(Written))
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("about", [{}, {"dpi": 300, "progressive": True}, {"colors": 16}])
def test_what_is_written_without_says_nothing_besides(kind, mode, frames, about):
    images = [photograph(40, 30, seed).convert(mode) for seed in range(frames)]
    profile = None if mode in {"L", "LA"} else PROFILE
    timing = Timing((100,) * frames, 0) if frames > 1 else None
    if timing and kind == "png":
        about = {key: value for key, value in about.items() if key != "colors"}

    data = encode(images, kind, Encoding(**about), timing=timing, icc=profile).data

    assert not has_metadata(data, inspect(data, LIMITS))


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "avif"])
def test_what_moves_says_nothing_besides(kind):
    images = [photograph(20, 10, seed) for seed in range(3)]
    data = written(images[0], kind, save_all=True, append_images=images[1:], duration=100, loop=0)

    assert not has_metadata(data, inspect(data, LIMITS))
