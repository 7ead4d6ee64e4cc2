"""The part of docs/recipes.md that is made from the structs.

`python -m tests.docs.reference`, or `make docs`, writes it anew.
"""

import inspect
import re
import types
from pathlib import Path
from typing import Annotated, Literal, Union, get_args, get_origin

import msgspec

from actors.imaging.expect import Expect
from actors.imaging.portrait import Portrait
from actors.imaging.recipe import Encoding
from web.recipes import OPERATIONS

PAGE = Path(__file__).parent.parent.parent / "docs" / "recipes.md"
BEGINNING = "<!-- From here on it is made from the code: `make docs` writes it anew. -->\n"

HEAD = "| parameter | values | default |\n| --- | --- | --- |\n"


def made() -> str:
    """What the code says: every operation and every kind of output."""
    names = ", ".join(f"[`{name}`](#{name})" for name in OPERATIONS)
    parts = [f"## Operations\n\n{names}.\n"]
    parts += [section(f"### {name}", kind) for name, kind in OPERATIONS.items()]
    parts += [section("## Output", Encoding), section("### expect", Expect)]
    parts += [f"### Facts\n\n{described(Portrait)}\n"]
    return "\n\n".join(parts)


def section(heading: str, kind: type[msgspec.Struct]) -> str:
    """What there is to say of one struct."""
    fields = msgspec.structs.fields(kind)
    table = HEAD + "".join(row(field) for field in fields) if fields else "It has no parameters.\n"
    return f"{heading}\n\n{described(kind)}\n\n{table}"


def described(kind: type[msgspec.Struct]) -> str:
    """The docstring of a struct, with a sentence a line."""
    paragraphs = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
    return "\n\n".join(
        re.sub(r"(?<=[.]) (?=[A-Z`])", "\n", " ".join(paragraph.split()))
        for paragraph in paragraphs
    )


def row(field: msgspec.structs.FieldInfo) -> str:
    """What there is to say of one parameter."""
    return f"| `{field.name}` | {values(field.type)} | {default(field)} |\n"


def default(field: msgspec.structs.FieldInfo) -> str:
    """What a parameter is that is left out."""
    if field.required:
        return "required"
    if field.default is None:
        return ""
    return f"`{msgspec.json.encode(field.default).decode()}`"


def values(kind: object) -> str:
    """What a parameter may be, in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return ", ".join(values(each) for each in arguments if each is not types.NoneType)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin is tuple:
        return f"list of {len(arguments)}: {values(arguments[0])}"
    if origin is Annotated:
        inner, *notes = arguments
        return ", ".join(told(inner, note) for note in notes)
    if kind is bool:
        return "`true`, `false`"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"[an object](#{kind.__name__.lower()})"
    raise TypeError(kind)


def told(inner: object, note: msgspec.Meta) -> str:
    """What may be said in the place of an annotated type."""
    if note.description is not None:
        return note.description
    least = f"above {note.gt:,} and up" if note.gt is not None else f"{note.ge:,}"
    return f"{'whole number' if inner is int else 'number'}, {least} to {note.le:,}"


def page() -> str:
    """The page as it should be."""
    by_hand, _, _ = PAGE.read_text("utf-8").partition(BEGINNING)
    return f"{by_hand}{BEGINNING}\n\n{made()}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
