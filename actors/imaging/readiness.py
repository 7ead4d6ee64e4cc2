"""Load whatever a render may need, before files cannot be opened any more."""

from __future__ import annotations

import io
from typing import get_args

from PIL import Image

from actors.imaging.facts import NO_LIMITS, Limits, Written
from actors.imaging.heic_decoder import load_heic
from actors.imaging.operations.watermark import Watermark
from actors.imaging.receipt import made_with
from actors.imaging.recipe import Output, Recipe
from actors.imaging.render import render


def prepare(limits: Limits) -> None:
    """Have the codecs and the font in memory: Pillow loads each of them when it is first used."""
    made_with()
    if "heic" in limits.formats:
        load_heic()
    text = Watermark(text="Calotype")
    outputs = (Output(name=kind, format=kind, operations=(text,)) for kind in get_args(Written))
    for made in render(_small(), Recipe((*outputs, Output(format="json"))), NO_LIMITS):
        if made.format != "json":
            render(made.data, Recipe((Output(format="png"),)), NO_LIMITS)


def _small() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "grey").save(file, "PNG")
    return file.getvalue()
