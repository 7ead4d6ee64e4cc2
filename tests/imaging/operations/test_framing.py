"""What is put around a picture."""

import msgspec
import numpy as np
import pytest
from PIL import Image

from actors.imaging.operations.framing import Pad
from actors.imaging.operations.turning import Rotate
from tests.imaging.operations.trials import GRAVITIES, MODES, faulty, noise, perform, shown


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("background", ["transparent", "white", "#336699", "#33669980"])
def test_a_margin_is_background_and_the_picture_stays_in_it_as_it_was(mode, background):
    image = noise(mode, (9, 5))
    colour = {
        "transparent": (0, 0, 0, 0),
        "white": (255, 255, 255, 255),
        "#336699": (51, 102, 153, 255),
        "#33669980": (51, 102, 153, 128),
    }[background]

    result = perform(Pad(top=2, right=3, bottom=1, left=4, background=background), image)

    expected = np.full((8, 16, 4), colour)
    expected[2:7, 4:13] = shown(image)
    assert (shown(result) == expected).all()


@pytest.mark.parametrize(
    ("step", "size", "left_top"),
    [
        (Pad(top=3), (40, 23), (0, 3)),
        (Pad(left="10%", bottom="10%"), (44, 22), (4, 0)),
        (Pad(right=16384), (16424, 20), (0, 0)),
        (Pad(width=50, height=40), (50, 40), (5, 10)),
        (Pad(width=50), (50, 20), (5, 0)),
        (Pad(height="200%"), (40, 40), (0, 10)),
        (Pad(width=10, height=10), (40, 20), (0, 0)),
        (Pad(width=10, height=30), (40, 30), (0, 5)),
        (Pad(top=0), (40, 20), (0, 0)),
        *(
            (Pad(width=60, height=60, gravity=each), (60, 60), (20 * x, 40 * y))
            for each, (x, y) in GRAVITIES.items()
        ),
    ],
    ids=str,
)
def test_where_a_padded_picture_is(step, size, left_top):
    result = perform(step, Image.new("L", (40, 20), 90))

    assert result.size == size
    assert result.getbbox() == (*left_top, left_top[0] + 40, left_top[1] + 20)


@pytest.mark.parametrize(
    ("mode", "background", "expected"),
    [
        ("L", "transparent", "LA"),
        ("L", "gray", "L"),
        ("L", "#80808080", "LA"),
        ("L", "red", "RGB"),
        ("L", "#ff000080", "RGBA"),
        ("LA", "white", "LA"),
        ("LA", "red", "RGBA"),
        ("RGB", "white", "RGB"),
        ("RGB", "transparent", "RGBA"),
        ("RGBA", "white", "RGBA"),
    ],
)
@pytest.mark.parametrize("kind", [Pad(top=1), Rotate(30)])
def test_there_are_as_many_channels_as_it_takes(kind, mode, background, expected):
    step = msgspec.structs.replace(kind, background=background)

    assert perform(step, noise(mode, (9, 9))).mode == expected


@pytest.mark.parametrize(
    ("step", "names"),
    [
        (Pad(top=0), []),
        (Pad(height=1), []),
        (Pad(top=1, right=1, bottom=1, left=1, background="red"), []),
        (Pad(), ["top"]),
        (Pad(gravity="north"), ["top"]),
        (Pad(width=1, top=0), ["top"]),
        (Pad(height=1, left=1, right=1), ["right", "left"]),
    ],
    ids=str,
)
def test_the_members_of_a_pad_must_go_together(step, names):
    assert faulty(step) == names


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (Pad, '"top":-1'),
        (Pad, '"gravity":"smart"'),
        (Pad, '"width":0'),
    ],
)
def test_what_is_out_of_range_is_refused(kind, members):
    name = kind.__name__.lower()

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"op":"{name}",{members}}}', type=kind)
