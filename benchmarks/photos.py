"""The pictures of the benchmarks: real photographs, put together and given a sensor's grain."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

SOURCES = ("coffee.png", "rocket.jpg", "chelsea.png", "hubble_deep_field.jpg")


def photo(width: int, height: int, quality: int, grain: float) -> bytes:
    """Return a JPEG of four photographs side by side, with noise over them."""
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
    out = io.BytesIO()
    Image.blend(picture, noise, grain).save(out, "JPEG", quality=quality)
    return out.getvalue()
