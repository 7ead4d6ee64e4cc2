"""The pictures of the benchmarks: real photographs, put together and given a sensor's grain."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from actors.imaging.operations import watermark

SOURCES = ("coffee.png", "rocket.jpg", "chelsea.png", "hubble_deep_field.jpg")

_FONT = Path(watermark.__file__).parent.parent / "fonts" / "DejaVuSans.ttf"
_PAPER, _INK, _BAR, _SIDE = (250, 250, 248), (40, 44, 52), (58, 96, 168), (232, 234, 238)


def photo(width: int, height: int, quality: int, grain: float) -> bytes:
    """Return a JPEG of four photographs side by side, with noise over them."""
    return written(photograph(width, height, grain), "JPEG", quality=quality)


def photograph(width: int, height: int, grain: float) -> Image.Image:
    """Return four photographs side by side, with noise over them."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The photographs come with scikit-image: make .venv/.test")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    picture = Image.new("RGB", (width, height))
    half = (width // 2, height // 2)
    for number, name in enumerate(SOURCES):
        with Image.open(folder / name) as source:
            tile = source.convert("RGB").resize(half, Image.Resampling.LANCZOS)
        picture.paste(tile, (number % 2 * half[0], number // 2 * half[1]))
    noise = Image.effect_noise((width, height), 40).convert("RGB")
    return Image.blend(picture, noise, grain)


def screenshot(width: int, height: int) -> Image.Image:
    """Return a window with a bar, a list at its side and lines of text, as on a screen."""
    picture = Image.new("RGB", (width, height), _PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.truetype(str(_FONT), 15)
    side = width // 5
    pen.rectangle((0, 40, side, height), fill=_SIDE)
    lines = Path(__file__).with_name("__main__.py").read_text().splitlines()
    for number, top in enumerate(range(50, height, 22)):
        line = lines[number % len(lines)]
        pen.text((16, top), line.strip()[:24], fill=_BAR, font=font)
        pen.text((side + 24, top), line, fill=_INK, font=font)
    pen.rectangle((0, 0, width, 40), fill=_BAR)
    return picture


def clip(width: int, height: int, frames: int) -> list[Image.Image]:
    """Return the frames of a slow pan over a photograph, so that every pixel changes."""
    step = 2
    whole = photograph(width + step * frames, height, 0.02)
    return [
        whole.crop((step * number, 0, step * number + width, height)) for number in range(frames)
    ]


def written(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return `image` as a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
