"""The pictures of the gallery: photographs, and what is made to show what they do not."""

import io
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFilter

from tests.imaging.pictures import colour_profile, exif
from tests.service.photographs import directory

ROOT = Path(__file__).parent.parent.parent
SIZE = 300
# The primaries of Adobe RGB, as XYZ under D50.
ADOBE = (0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)


@cache
def original(name: str) -> bytes:
    """The file of this name."""
    return ORIGINALS[name]()


def _file(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _photograph(name: str) -> Image.Image:
    with Image.open(directory() / name) as file:
        image = file.convert("RGB")
    image.thumbnail((SIZE, SIZE))
    return image


def _drawn(size: tuple[int, int], draw: Callable[[ImageDraw.ImageDraw, int], None]) -> Image.Image:
    """A drawing with smooth edges and transparency around it."""
    times = 4
    large = Image.new("RGBA", (size[0] * times, size[1] * times))
    draw(ImageDraw.Draw(large), times)
    return large.resize(size, Image.Resampling.LANCZOS)


def _times(times: int, *numbers: float) -> list[float]:
    return [times * number for number in numbers]


def _logo() -> Image.Image:
    """A drawing with a hole, a shadow and half transparent parts."""

    def draw(pen: ImageDraw.ImageDraw, times: int) -> None:
        pen.ellipse(_times(times, 20, 20, 180, 180), (214, 40, 40, 255))
        pen.ellipse(_times(times, 70, 70, 130, 130), (0, 0, 0, 0))
        pen.rectangle(_times(times, 110, 90, 280, 150), (0, 80, 200, 150))
        pen.polygon(_times(times, 200, 20, 280, 80, 180, 80), (250, 200, 0, 255))

    drawing = _drawn((SIZE, 200), draw)
    shadow = Image.new("RGBA", drawing.size)
    shadow.putalpha(drawing.getchannel("A").filter(ImageFilter.GaussianBlur(6)))
    moved = Image.new("RGBA", drawing.size)
    moved.paste(shadow, (6, 6))
    moved.alpha_composite(drawing)
    return moved


def _scan() -> Image.Image:
    """A photograph on a sheet that is nearly white."""
    chance = np.random.default_rng(3)
    paper = 246 + chance.integers(-3, 4, (240, 320, 1)) + np.zeros((1, 1, 3), int)
    sheet = Image.fromarray(paper.astype(np.uint8))
    sheet.paste(_photograph("coffee.png").resize((210, 140)), (60, 40))
    return sheet


def _bars() -> Image.Image:
    """Ramps of the colours and of grey."""
    across = np.linspace(0, 255, SIZE)
    rows = np.zeros((200, SIZE, 3))
    colours = (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1)
    for number, colour in enumerate(colours):
        rows[number * 25 : number * 25 + 25] = across[:, None] * colour
    rows[150:] = across[:, None]
    return Image.fromarray(rows.astype(np.uint8))


def _target() -> Image.Image:
    """Fine lines, a frame of one pixel, and a cross: what shows that something is a pixel off."""
    image = Image.new("RGB", (201, 151), "white")
    pen = ImageDraw.Draw(image)
    pen.line([100, 0, 100, 150], "blue")
    pen.line([0, 75, 200, 75], "blue")
    pen.rectangle([0, 0, 200, 150], outline="red")
    for number in range(10):
        pen.line([10 + 2 * number, 10, 10 + 2 * number, 60], "black")
        pen.line([120, 10 + 2 * number, 190, 10 + 2 * number], "black")
        pen.circle((130, 112), 3 * number, outline="black")
    return image


def _wide() -> bytes:
    """A photograph in a space of colours that is larger than sRGB: without it, it looks dull."""
    profile = colour_profile(*ADOBE)
    ours, theirs = ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(profile))
    image = ImageCms.profileToProfile(_photograph("coffee.png"), ours, theirs)
    assert image
    return _file(image, "PNG", icc_profile=profile)


def _sixteen() -> bytes:
    across = np.linspace(0, 65535, SIZE)
    grey = np.tile(across, (100, 1))
    grey[50:] = (across // 8192) * 8192
    return _file(Image.fromarray(grey.astype(np.uint16)), "PNG")


def _film(kind: str) -> bytes:
    """A ball that bounces, with transparency around it."""
    frames = []
    for number in range(12):
        height = 100 * abs(np.sin(number / 12 * np.pi))

        def draw(pen: ImageDraw.ImageDraw, times: int, top: float = 110 - height) -> None:
            pen.ellipse(_times(times, 60, top, 100, top + 40), (230, 90, 20))
            pen.line(_times(times, 0, 150, 160, 150), (40, 40, 40), 3 * times)

        frames.append(_drawn((160, 160), draw))
    options = {"lossless": True} if kind == "WEBP" else {"disposal": 2}
    return _file(
        frames[0], kind, save_all=True, append_images=frames[1:], duration=80, loop=0, **options
    )


ORIGINALS: Mapping[str, Callable[[], bytes]] = {
    "rocket.jpg": (ROOT / "examples" / "photo.jpg").read_bytes,
    "astronaut.jpg": lambda: _file(_photograph("astronaut.png"), "JPEG", quality=92),
    "coffee.png": lambda: _file(_photograph("coffee.png"), "PNG"),
    "chelsea.png": lambda: _file(_photograph("chelsea.png"), "PNG"),
    "camera.png": lambda: _file(_photograph("camera.png").convert("L"), "PNG"),
    "page.png": (directory() / "page.png").read_bytes,
    "logo.png": lambda: _file(_logo(), "PNG"),
    "grey-logo.png": lambda: _file(_logo().convert("LA"), "PNG"),
    "palette.png": lambda: _file(
        _logo().quantize(32, Image.Quantize.FASTOCTREE), "PNG", optimize=False
    ),
    "scan.jpg": lambda: _file(_scan(), "JPEG", quality=90),
    "bars.png": lambda: _file(_bars(), "PNG"),
    "target.png": lambda: _file(_target(), "PNG"),
    "inks.jpg": lambda: _file(_photograph("coffee.png").convert("CMYK"), "JPEG", quality=92),
    "wide.png": _wide,
    "sixteen.png": _sixteen,
    "bits.png": lambda: _file(_photograph("camera.png").convert("1"), "PNG"),
    "turned.jpg": lambda: _file(
        _photograph("astronaut.png").transpose(Image.Transpose.ROTATE_90),
        "JPEG",
        quality=92,
        exif=b"Exif\0\0" + exif(6),
    ),
    "ball.gif": lambda: _film("GIF"),
    "ball.webp": lambda: _film("WEBP"),
}
