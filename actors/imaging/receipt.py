"""What is told of outputs besides their bytes: what they were made with, and how."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from importlib import metadata
from types import MappingProxyType

import PIL
from msgspec import Struct, json, structs
from PIL import features

from actors.imaging.inspect import MEDIA_TYPES, SUFFIXES
from actors.imaging.made import Made
from actors.imaging.recipe import Output
from actors.imaging.step import Step

_CODECS = ("libjpeg_turbo", "zlib_ng", "zlib", "webp", "avif", "littlecms2", "freetype2", "raqm")


def receipt(others: Mapping[str, str]) -> str:
    """Return what outputs are made with, as JSON.

    It is `images`, the SHA-256 of each of the `others` by its id, and `versions`: with others the
    bytes may differ.
    """
    return json.encode({"versions": dict(versions()), "images": dict(others)}).decode()


@functools.cache
def made_with() -> str:
    """Return in one word what outputs are made with: `versions`, as JSON."""
    return json.encode(dict(versions())).decode()


def is_current(told: str) -> bool:
    """Whether what has this receipt would be made with the same today."""
    return bool(json.decode(told)["versions"] == dict(versions()))


@functools.cache
def versions() -> Mapping[str, str]:
    """Return the versions of Calotype, of Pillow and of its codecs."""
    found = {"calotype": metadata.version("calotype"), "pillow": PIL.__version__}
    for codec in _CODECS:
        version = features.version(codec)
        if version is not None:
            found[codec] = version
    # An extra, whose wheels hold the codecs that belong to it.
    with contextlib.suppress(metadata.PackageNotFoundError):
        found["pillow_heif"] = metadata.version("pillow-heif")
    return MappingProxyType(found)


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
    return {"op": step.__struct_config__.tag, **_differing(step)}


def as_made(output: Output, media_type: str, quality: int | None) -> dict[str, object]:
    """Return how a finished output was encoded, as a client would say it.

    What was left to the picture is told: the format, and the quality if it has one.
    """
    formats = {kind: name for name, kind in MEDIA_TYPES.items()}
    made: dict[str, object] = {"format": formats.get(media_type, "json")}
    if quality is not None:
        made["quality"] = quality
    said = _differing(output)
    for name in ("name", "accepts", "operations"):
        said.pop(name, None)
    return said | made


def _differing(said: Struct) -> dict[str, object]:
    return {
        field.name: getattr(said, field.name)
        for field in structs.fields(type(said))
        if getattr(said, field.name) != field.default
    }


def media_type(made: Made) -> str:
    """Return the media type of an output."""
    return "application/json" if made.format == "json" else MEDIA_TYPES[made.format]


def suffix(made: Made) -> str:
    """Return what the name of an output's file ends with."""
    return ".json" if made.format == "json" else SUFFIXES[made.format]
