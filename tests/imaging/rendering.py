"""What the tests of rendering share: one output, as short as it can be said."""

import io
from collections.abc import Mapping
from types import MappingProxyType

from PIL import Image

from actors.imaging.facts import DEFAULT_LIMITS, Limits
from actors.imaging.made import Made
from actors.imaging.recipe import Operation, Output, Recipe
from actors.imaging.render import render

NOBODY: Mapping[str, bytes] = MappingProxyType({})


def recipe_of(*operations: Operation, autorotate=True, **encoding) -> Recipe:
    """A recipe with one output."""
    return Recipe((Output(operations=operations, **encoding),), autorotate)


def made(
    data: bytes,
    *operations: Operation,
    limits: Limits = DEFAULT_LIMITS,
    others: Mapping[str, bytes] = NOBODY,
    **encoding,
) -> Made:
    """What `operations` make of `data`, written as `encoding` says."""
    (only,) = render(data, recipe_of(*operations, **encoding), limits, others=others)
    return only


def opened(data: bytes) -> Image.Image:
    """A file as Pillow reads it."""
    return Image.open(io.BytesIO(data))
