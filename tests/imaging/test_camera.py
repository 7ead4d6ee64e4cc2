"""What EXIF tells: what is known of it, and that nobody can hide anything in it."""

import random
import struct

import pytest
from PIL import Image, TiffImagePlugin

from actors.imaging.camera import camera

ASCII, SHORT, LONG, RATIONAL, SIGNED = 2, 3, 4, 5, 10
MAKE, MODEL, ARTIST, EXPOSURE, PLACE = 0x010F, 0x0110, 0x013B, 0x8769, 0x8825


def by_pillow(main, exposure=None, place=None):
    """EXIF as Pillow writes it."""
    exif = Image.Exif()
    exif.update(main)
    if exposure:
        exif.get_ifd(EXPOSURE).update(exposure)
    if place:
        exif.get_ifd(PLACE).update(place)
    return exif.tobytes().removeprefix(b"Exif\0\0")


def by_hand(*fields, order="<", rest=b""):
    """EXIF of `fields`, each a tag, a kind, a count and four bytes; `rest` is what follows them."""
    mark = {"<": b"II", ">": b"MM"}[order]
    head = mark + struct.pack(order + "HIH", 42, 8, len(fields))
    entries = (struct.pack(order + "HHI", *field[:3]) + field[3] for field in fields)
    return head + b"".join(entries) + bytes(4) + rest


def test_a_camera_tells_of_itself_and_of_the_exposure():
    rational = TiffImagePlugin.IFDRational
    exif = by_pillow(
        {
            0x010F: "FUJIFILM",
            0x0110: "X-T3",
            0x0112: 6,
            0x0131: "Darkroom 4.2",
            0x0132: "2024:05:02 08:00:00",
            0x013B: "Anna Atkins",
            0x8298: "(c) Anna Atkins",
        },
        {
            0x829A: rational(1, 125),
            0x829D: rational(28, 10),
            0x8827: 400,
            0x9003: "2024:05:01 12:30:59",
            0x9011: "+02:00",
            0x9204: rational(-2, 3),
            0x9209: 16,
            0x920A: rational(35, 1),
            0xA405: 53,
            0xA433: "FUJIFILM",
            0xA434: "XF35mmF1.4 R",
        },
    )

    assert camera(exif) == {
        "Make": "FUJIFILM",
        "Model": "X-T3",
        "Orientation": 6,
        "Software": "Darkroom 4.2",
        "DateTime": "2024:05:02 08:00:00",
        "Artist": "Anna Atkins",
        "Copyright": "(c) Anna Atkins",
        "ExposureTime": 0.008,
        "FNumber": 2.8,
        "PhotographicSensitivity": 400,
        "DateTimeOriginal": "2024:05:01 12:30:59",
        "OffsetTimeOriginal": "+02:00",
        "ExposureBiasValue": -0.666667,
        "Flash": 16,
        "FocalLength": 35,
        "FocalLengthIn35mmFilm": 53,
        "LensMake": "FUJIFILM",
        "LensModel": "XF35mmF1.4 R",
    }


def test_neither_places_nor_owners_nor_serial_numbers_nor_comments_are_told():
    exif = by_pillow(
        {MAKE: "Leica", 0x010E: "my house", 0x9C9B: b"t\0"},
        {0xA430: "Owner", 0xA431: "123456", 0xA435: "654321", 0x9286: b"ASCII\0\0\0hello"},
        {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)},
    )

    assert camera(exif) == {"Make": "Leica"}


@pytest.mark.parametrize("order", "<>")
def test_both_orders_of_bytes_are_read(order):
    make = MAKE, ASCII, 4, b"Abc\0"
    turn = 0x0112, SHORT, 1, struct.pack(order + "HH", 8, 0)

    assert camera(by_hand(make, turn, order=order)) == {"Make": "Abc", "Orientation": 8}


@pytest.mark.parametrize(
    "exif", [b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"hello, world", by_hand(), bytes(99)]
)
def test_what_is_no_exif_tells_nothing(exif):
    assert camera(exif) == {}


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"  two words \0", "two words"),
        (b"ends\0here\0", "ends"),
        (b"no end", "no end"),
        (b"line\nbreak\x1b[31m\0", "linebreak[31m"),
        ("Müller\0".encode(), "Müller"),
        (b"M\xfcller\0", "M\ufffdller"),
        (b"x" * 1_000, "x" * 200),
        ("\u2603".encode() * 1_000, "\u2603" * 200),
    ],
)
def test_texts_are_cleaned_and_cut(raw, told):
    exif = by_hand((MAKE, ASCII, len(raw), struct.pack("<I", 26)), rest=raw)

    assert camera(exif) == {"Make": told}


@pytest.mark.parametrize("raw", [b"\0\0\0\0\0", b"      ", b"\n\n\n\n\n"])
def test_empty_texts_are_left_out(raw):
    exif = by_hand((MAKE, ASCII, len(raw), struct.pack("<I", 26)), rest=raw)

    assert camera(exif) == {}


@pytest.mark.parametrize(
    ("kind", "above", "below", "told"),
    [
        (RATIONAL, 1, 3, 0.333333),
        (RATIONAL, 1, 32_000, 3.125e-05),
        (RATIONAL, 4_294_967_295, 1, 4.29497e09),
        (RATIONAL, 0, 5, 0),
        (SIGNED, -1, 3, -0.333333),
        (SIGNED, -1, -2, 0.5),
    ],
)
def test_fractions_are_numbers_of_six_digits(kind, above, below, told):
    assert camera(with_exposure(kind, 1, above, below)) == {"ExposureTime": told}


@pytest.mark.parametrize(
    ("kind", "count", "above", "below"),
    [(RATIONAL, 1, 1, 0), (RATIONAL, 0, 1, 2), (RATIONAL, 2, 1, 2), (12, 1, 1, 2), (99, 1, 1, 2)],
)
def test_what_is_no_fraction_is_left_out(kind, count, above, below):
    assert camera(with_exposure(kind, count, above, below)) == {}


def with_exposure(kind, count, above, below):
    """EXIF with an exposure time."""
    fraction = struct.pack("<II" if kind != SIGNED else "<ii", above, below)
    inner = struct.pack("<HHHII", 1, 0x829A, kind, count, 26 + 18) + bytes(4) + fraction
    return by_hand((EXPOSURE, LONG, 1, struct.pack("<I", 26)), rest=inner + bytes(8))


@pytest.mark.parametrize("start", [0, 8, 20, 4_000_000_000])
def test_a_directory_that_leads_nowhere_or_into_itself_tells_nothing(start):
    exif = by_hand((EXPOSURE, LONG, 1, struct.pack("<I", start)), (MODEL, ASCII, 2, b"X\0\0\0"))

    assert camera(exif) == {"Model": "X"}


def test_fields_that_all_claim_the_whole_file_cost_nothing():
    huge = bytes(20_000_000)
    fields = [(tag, ASCII, 19_000_000, struct.pack("<I", 500_000)) for tag in range(0x100, 0x300)]

    assert camera(by_hand(*fields, rest=huge)) == {}


def test_broken_exif_tells_what_it_can_and_raises_nothing():
    chance = random.Random(1)  # noqa: S311 - nothing here is secret
    good = by_pillow(
        {MAKE: "Zeiss", MODEL: "Ikon", ARTIST: "August Sander", 0x0112: 1},
        {0x829A: TiffImagePlugin.IFDRational(1, 60), 0x8827: 100, 0x9003: "1929:01:01 10:00:00"},
    )

    for _ in range(2_000):
        broken = bytearray(good[: chance.randrange(8, len(good) + 1)])
        for _ in range(chance.randrange(1, 6)):
            broken[chance.randrange(4, len(broken))] = chance.randrange(256)
        assert all(isinstance(value, str | int | float) for value in camera(bytes(broken)).values())
