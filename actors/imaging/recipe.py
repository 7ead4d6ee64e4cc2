"""What a client can ask to be made of an image.

An operation is one struct here and one function in `operations.py`.
The structs are also the JSON that clients send and the catalogue keeps.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct, json

from actors.imaging.facts import Format

Dimension: TypeAlias = Annotated[int, Meta(ge=1, le=4096)]
Quality: TypeAlias = Annotated[int, Meta(ge=1, le=100)]


class Resize(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="resize"):
    """Make it exactly `width` x `height`, distorted if need be."""

    width: Dimension
    height: Dimension


class Thumbnail(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="thumbnail"):
    """Make it as large as fits into `width` x `height` with its proportions kept.

    With `enlarge` false, what is smaller already stays as it is.
    """

    width: Dimension
    height: Dimension
    enlarge: bool = True


Operation: TypeAlias = Resize | Thumbnail


class Output(Struct, frozen=True, forbid_unknown_fields=True):
    """How the result is written. Without a `format` it is written in the format of the original."""

    format: Format | None = None
    quality: Quality = 90


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """What to make of an image: `operations`, in this order, and the `output`."""

    operations: Annotated[tuple[Operation, ...], Meta(max_length=32)]
    output: Output = Output()


def encode_recipe(recipe: Recipe) -> str:
    """Return `recipe` as JSON, with every default spelt out, so that it keeps its meaning."""
    return json.encode(recipe).decode()


def decode_recipe(text: str) -> Recipe:
    """Return the recipe that `text` holds.

    Raises:
      msgspec.DecodeError: if it is not JSON, or, as its subclass `ValidationError`, no recipe.
    """
    return json.decode(text, type=Recipe)
