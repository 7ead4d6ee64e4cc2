"""What a request says by name, checked against structs; every fault with its pointer."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeVar, get_args, get_origin

import msgspec

from web.problems import Fault, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

MAX_MEMBERS = 64
MAX_NAME = 64  # characters
MAX_DEPTH = 16
WHOLE_NUMBER = re.compile(r"-?[0-9]+")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")


@dataclass(slots=True)
class Members:
    """The names and values that nobody has taken yet, and what was wrong with the others.

    `are_words`: the values came as text, not as JSON, so that `300` is a number.
    """

    values: dict[str, object] = field(default_factory=dict)
    are_words: bool = False
    faults: list[Fault] = field(default_factory=list)

    @classmethod
    def of_query(cls, query: Iterable[tuple[str, str]]) -> Members:
        """Return what a query says.

        Raises:
          Problem: `malformed`, as `check_names` says.
        """
        words = list(query)
        check_names([name for name, _ in words])
        members = cls(are_words=True)
        for name, value in words:
            members.add_word(name, value)
        return members

    @classmethod
    def of_json(cls, members: Mapping[str, msgspec.Raw]) -> Members:
        """Return what a JSON object says. A member that is null is as good as absent.

        Raises:
          Problem: `malformed`, if it is nested too deep, or as `check_names` says.
        """
        check_names(members)
        values = {name: from_json(raw, object) for name, raw in members.items()}
        if _depth(values) > MAX_DEPTH:
            raise Problem("malformed", f"The JSON is nested more than {MAX_DEPTH} deep.")
        return cls({name: value for name, value in values.items() if value is not None})

    def add_word(self, name: str, value: str) -> None:
        """Note a member that came as text."""
        if name in self.values:
            self.faults.append(Fault(pointer(name), "is given twice"))
        self.values[name] = value

    def take(self, kind: type[S]) -> S | None:
        """Take the members of `kind` out; None if one of them is wrong or missing."""
        members: dict[str, object] = {}
        sound = True
        for each in _fields(kind):
            value = self.values.pop(each.name, None)
            if value is None:
                if each.required:
                    self.faults.append(Fault(pointer(each.name), "is missing"))
                    sound = False
                continue
            try:
                members[each.name] = self._convert(value, each.type)
            except msgspec.ValidationError as error:
                why = _choices(each.type) or _sentence(error)
                self.faults.append(Fault(pointer(each.name), why))
                sound = False
        return kind(**members) if sound else None

    def _convert(self, value: object, kind: object) -> object:
        member: object = msgspec.convert(value, kind, strict=not self.are_words)
        if type(member) is int and not WHOLE_NUMBER.fullmatch(str(value)):
            # Words such as "1e2" or "300.0", which JSON would be refused for as well.
            raise msgspec.ValidationError("Expected `int`, got `float`")
        if isinstance(member, datetime) and not DATE.match(str(value)):
            # Seconds since 1970, which msgspec takes from words.
            raise msgspec.ValidationError("Expected `datetime` as in RFC 3339")
        return member

    def refuse_rest(self, why: str) -> None:
        """Note each member that nobody has taken as a fault."""
        self.faults += [Fault(pointer(name), why) for name in self.values]

    def only(self, kind: type[S]) -> S:
        """Return the members as a `kind`, which must be all there is.

        Raises:
          Problem: `invalid`, with every fault.
        """
        taken = self.take(kind)
        self.refuse_rest("is no parameter here")
        if self.faults or taken is None:
            raise invalid(self.faults)
        return taken


@functools.cache
def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def check_names(names: Collection[str]) -> None:
    """Check that all of `names` can be repeated in an answer.

    Raises:
      Problem: `malformed`, if there are too many of them, or one is too long.
    """
    if len(names) > MAX_MEMBERS:
        raise Problem("malformed", f"There are more than {MAX_MEMBERS} parameters.")
    if any(len(name) > MAX_NAME for name in names):
        raise Problem("malformed", f"A parameter's name has more than {MAX_NAME} characters.")


def from_json(text: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Return what `text` says, as a `kind`.

    Raises:
      Problem: `malformed`, if it is no JSON, or nothing of that kind.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed", f"The body is no JSON object: {error}") from error


def pointer(name: str) -> str:
    """Return the JSON pointer to a member (RFC 6901, 3)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _depth(value: object) -> int:
    """Return how deep lists and objects are nested."""
    depth, layer = 0, [value]
    while outer := [each for each in layer if isinstance(each, dict | list)]:
        depth += 1
        layer = [inner for each in outer for inner in _inside(each)]
    return depth


def _inside(value: dict[str, object] | list[object]) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def _choices(kind: object) -> str | None:
    """Return which words a literal allows, as a sentence; None if `kind` is no literal."""
    for each in (kind, *get_args(kind)):
        if get_origin(each) is Literal:
            return f"must be one of {', '.join(get_args(each))}"
    return None


def _sentence(error: msgspec.ValidationError) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
