"""Hashes: the same as those of the programs that their authors wrote."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from actors.imaging.colour import flatten
from actors.imaging.hashes import blurhash, dhash, thumbhash
from tests.imaging.pictures import photograph
from tests.service.photographs import directory

MODES = ["L", "LA", "RGB", "RGBA"]

# By Wolt's blurhash in C (blurhash-python 1.2.2) and Evan Wallace's thumbhash in JavaScript
# (0.1.1), of the picture that `waves` makes.
PUBLISHED = [
    ("L", (32, 24), "L4HV9wxuxu%M~qt7RjM{t74n?bM{", "HwgCBYCkZISIV3MIX1Z1UgAAAAAA"),
    ("L", (24, 32), "T4HLl1_3fQ%MayfQ00RjfQ9FWBfQ", "HwgGBQB3d3Z4OIcnh3ZoBwAAAAAA"),
    ("L", (31, 31), "L2HV9wxuM{of_3WBt7M{t7IU-;M{", "HwgCBwBSQDZ2WDdoWUV3ZoWHCwAAAAAA"),
    ("LA", (32, 24), "LFKd}K_3%Mxu~q%MRjt7%MIU%MRj", "HwiCBIAalldrSBefAwAAAAAAhhaWZmloBg=="),
    ("LA", (24, 32), "TFKd}K~q%M_3%MRjofM{t7RjxuRj", "HwiCBAAaeGiHF3iABgAAAAAAhhaWZmloBg=="),
    ("LA", (31, 31), "LDKnh^~q%Mt7~q%MRjxu%MM{xuM{", "HwiCBQAaREBZW3dpZgAAAAAAYGhhaZaGZg=="),
    ("RGB", (32, 24), "LSHVF?prpXnnx?k8c~XjkBR8rvX|", "IPgFFYbpdlJpr1Y4pmtodvtsNlCK"),
    ("RGB", (24, 32), "TSHLrGu0gupEf+hTNdZ+epS^bqem", "3/cFDQbZdmivZkVaaHZ3SP1MM0Bq"),
    ("RGB", (31, 31), "LSHVF?l5cTjKtibYlwb=k9VbnScQ", "IPgFDwjZdUNpr0ZXpWpoZHeIyM92A5UI"),
    ("RGBA", (32, 24), "LKKe4Z?[yosY_2xuUNpax]MNw6Tn", "4PeBDIQa6ZRZrzlVyv9TBLYGhhaWZmloBg=="),
    ("RGBA", (24, 32), "TMKe1S_Lyn?txvUOkqQqreXOtjVr", "4PeBDAQayYX2eUSk9+4QBbQFhhaWZmloBg=="),
    ("RGBA", (31, 31), "LKKnl1?[yon-?uxuUNt*x]QpryTn", "4PeBDQQa2JNZr0lVeu0fVlBqYGhhaZaGZg=="),
]


def waves(mode, width, height):
    """A picture made of whole numbers alone, so that it is the same everywhere."""
    samples = []
    for y in range(height):
        for x in range(width):
            u, v = x * 97 // width, y * 89 // height
            pixel = u * u + 13 * v, 200 + 3 * u - v * v // 40, 7 * u + 5 * v, 90 + u + v
            kept = {"L": pixel[:1], "LA": pixel[::3], "RGB": pixel[:3], "RGBA": pixel}[mode]
            samples += [sample % 256 for sample in kept]
    return Image.frombytes(mode, (width, height), bytes(samples))


@pytest.mark.parametrize(("mode", "size", "blur", "thumb"), PUBLISHED)
def test_placeholders_are_those_of_the_authors_programs(mode, size, blur, thumb):
    image = waves(mode, *size)

    assert blurhash(image) == blur
    assert thumbhash(image) == thumb


@pytest.mark.parametrize(
    ("colour", "start"),
    [((0, 0, 0), "L00000"), ((255, 255, 255), "L~TSUA"), ((255, 0, 0), "L~TI:j")],
)
def test_a_blurhash_has_the_mean_in_four_digits(colour, start):
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
    number = 0
    for digit in start[2:]:
        number = number * 83 + digits.index(digit)

    assert (number >> 16, number >> 8 & 255, number & 255) == colour
    assert blurhash(Image.new("RGB", (1, 1), colour))[:6] == start


def test_the_blurhash_of_what_is_transparent_is_that_of_it_on_white():
    image = waves("RGBA", 20, 30)

    assert blurhash(image) == blurhash(flatten(image))


@pytest.mark.parametrize(
    ("size", "components"), [((40, 20), "L"), ((20, 20), "L"), ((20, 40), "T")]
)
def test_a_blurhash_has_more_components_along_the_longer_edge(size, components):
    """L is 4 x 3, and T is 3 x 4."""
    assert blurhash(photograph(*size))[0] == components
    assert len(blurhash(photograph(*size))) == 28


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 1), (100, 1), (3, 100), (100, 100)])
def test_every_small_picture_has_placeholders(mode, size):
    image = waves(mode, *size)

    assert len(blurhash(image)) == 28
    assert len(base64.b64decode(thumbhash(image))) <= 25


def test_a_thumbhash_has_the_mean_and_tells_whether_it_is_opaque():
    image = Image.new("RGB", (60, 40), (200, 100, 50))
    image.paste((100, 200, 150), (0, 0, 30, 40))
    clear = image.convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 30, 40))

    for picture, mean, has_alpha in [(image, (150, 150, 100), 0), (clear, (200, 100, 50), 1)]:
        head = int.from_bytes(base64.b64decode(thumbhash(picture))[:5], "little")
        light, yellow, red = head & 63, head >> 6 & 63, head >> 12 & 63
        r, g, b = (level / 255 for level in mean)

        assert abs(light / 63 - (r + g + b) / 3) < 0.01
        assert abs(yellow / 31.5 - 1 - ((r + g) / 2 - b)) < 0.02
        assert abs(red / 31.5 - 1 - (r - g)) < 0.02
        assert head >> 23 & 1 == has_alpha
        # It is wider than high: 7 x 5 terms, or 5 x 3 with what tells how opaque it is.
        assert (head >> 39, head >> 24 & 7) == (1, (5, 3)[has_alpha])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_an_invisible_picture_has_hashes_too(mode):
    image = Image.new(mode, (8, 6))

    assert blurhash(image) == blurhash(Image.new("RGB", (8, 6), "white"))
    assert base64.b64decode(thumbhash(image))[5] == 0
    assert dhash(image) == "0" * 16


@pytest.mark.parametrize("mode", MODES)
def test_a_bit_of_the_difference_hash_is_set_where_a_pixel_is_brighter_than_the_one_before(mode):
    """At 9 x 8 pixels nothing is scaled."""
    levels = np.random.default_rng(5).integers(0, 256, (8, 9), dtype=np.uint8)
    bits = "".join("01"[int(brighter)] for brighter in (np.diff(levels.astype(int)) > 0).flat)

    assert dhash(Image.fromarray(levels).convert(mode)) == f"{int(bits, 2):016x}"


def test_a_picture_that_gets_brighter_to_the_right_has_every_bit_set():
    ramp = Image.fromarray(np.tile(np.linspace(0, 255, 300).astype(np.uint8), (70, 1)))

    assert dhash(ramp) == "f" * 16
    assert dhash(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)) == "0" * 16
    assert dhash(Image.new("RGB", (300, 70), "red")) == "0" * 16


def test_of_pictures_that_look_alike_the_difference_hash_has_few_other_bits():
    hashes = {}
    for name in ("astronaut.png", "coffee.png", "rocket.jpg"):
        with Image.open(directory() / name) as file:
            image = file.convert("RGB")
        other = io.BytesIO()
        image.resize((211, 160)).point(lambda level: level * 0.8 + 20).save(
            other, "JPEG", quality=30
        )
        hashes[name] = int(dhash(image), 16)
        assert (hashes[name] ^ int(dhash(Image.open(other)), 16)).bit_count() <= 4

    first, second, third = hashes.values()
    assert min((first ^ second).bit_count(), (second ^ third).bit_count()) > 20


# By imagehash 4.3.
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("astronaut.png", "cd8dd91d897293a7"),
        ("coffee.png", "f3e96933160b1b36"),
        ("camera.png", "509a3c7fbc756cec"),
    ],
)
def test_the_difference_hash_is_that_of_imagehash(name, known):
    with Image.open(directory() / name) as image:
        image.load()
        assert (int(dhash(image), 16) ^ int(known, 16)).bit_count() <= 1
