"""The words in which a route is described; `document` makes OpenAPI of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

Json: TypeAlias = dict[str, object]
# A type that the service reads requests into or writes answers from; or what no type says, as JSON
# Schema; or nothing, where the bytes are whatever their media type says.
Shape: TypeAlias = type | Json | None

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header of a request or of an answer. `always`: such an answer never lacks it.

    `pattern` is what a value must look like, if not all will do.
    """

    name: str
    says: str
    example: str
    always: bool = False
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class Content:
    """What a body holds: its shape, and examples by what they show, as JSON or text.

    `parts` are the media types of those parts of a form that are no plain text.
    """

    shape: Shape = None
    examples: Mapping[str, object] = field(default_factory=dict)
    parts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The body of a request, by media type."""

    content: Mapping[str, Content]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer below 400: what it means, its headers, and its body by media type.

    `gives` says where in the body ids are (JSON pointers), by what they are called in paths.
    """

    says: str
    content: Mapping[str, Content] = field(default_factory=dict)
    headers: tuple[Header, ...] = ()
    gives: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a client may say to a route, and what it may hear.

    `name` is what a generated client calls it. `summary` is a line, `says` more of it (Markdown).
    `query` are the structs that the query is read into; with `recipe_in_query` it may say a recipe
    as well. `problems` are codes of `problems.KINDS`, besides those of `COMMON`.
    """

    tag: str
    name: str
    summary: str
    says: str = ""
    query: tuple[type[msgspec.Struct], ...] = ()
    recipe_in_query: bool = False
    headers: tuple[Header, ...] = ()
    body: Body | None = None
    answers: Mapping[int, Answer]
    problems: tuple[str, ...] = ()


class Common:
    """The problems that need not be said of a route, by what makes them possible."""

    ALWAYS = ("malformed", "internal", "overloaded")
    WITH_SCOPES = ("unauthenticated", "forbidden", "rate_limited", "storage_unavailable")
    WITH_QUERY = ("invalid",)
    WITH_BODY = ("too_slow", "too_large", "storage_unavailable", "storage_full")
    OF_POST = ("idempotency_mismatch", "gone", *WITH_BODY)


def json_of(shape: Shape, **examples: object) -> Mapping[str, Content]:
    """Return a body of JSON, with examples by what they show."""
    return {JSON: Content(shape, examples)}
