"""What a request says by name, checked against structs; every fault with its pointer."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

import msgspec

from web.problems import Fault, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

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
        """Return what a query says."""
        members = cls(are_words=True)
        for name, value in query:
            members.add_word(name, value)
        return members

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
                self.faults.append(Fault(pointer(each.name), _sentence(error)))
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


def _sentence(error: msgspec.ValidationError) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
