"""What is told of outputs besides their bytes: what they were made with, and how."""

from __future__ import annotations

import functools

import PIL
from msgspec import json, structs
from PIL import features

from actors.imaging.inspect import MEDIA_TYPES, SUFFIXES
from actors.imaging.render import Made
from actors.imaging.step import Step

_CODECS = ("libjpeg_turbo", "zlib_ng", "zlib", "webp", "avif", "littlecms2", "freetype2", "raqm")


@functools.cache
def receipt() -> str:
    """Return the versions of Pillow and its codecs, as JSON: with others the bytes may differ."""
    versions = {"pillow": PIL.__version__}
    for codec in _CODECS:
        version = features.version(codec)
        if version is not None:
            versions[codec] = version
    return json.encode({"versions": versions}).decode()


def details(made: Made) -> str:
    """Return how an output came about, as JSON: what was done, and what was searched for."""
    said: dict[str, object] = {
        "frames": made.frames,
        "operations": [as_said(step) for step in made.operations],
    }
    if made.quality is not None:
        said["quality"] = made.quality
    if made.ssim is not None:
        said["ssim"] = round(made.ssim, 5)
    return json.encode(said).decode()


def as_said(step: Step) -> dict[str, object]:
    """Return an operation as a client would say it: with what is not the default."""
    fields = structs.fields(type(step))
    differing = {
        field.name: getattr(step, field.name)
        for field in fields
        if getattr(step, field.name) != field.default
    }
    return {"op": step.__struct_config__.tag, **differing}


def media_type(made: Made) -> str:
    """Return the media type of an output."""
    return "application/json" if made.format == "json" else MEDIA_TYPES[made.format]


def suffix(made: Made) -> str:
    """Return what the name of an output's file ends with."""
    return ".json" if made.format == "json" else SUFFIXES[made.format]
