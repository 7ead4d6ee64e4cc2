"""What a request says by name, checked against structs; every fault with its pointer."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar, get_args, get_origin

import msgspec

from web.problems import Fault, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

MAX_MEMBERS = 64
MAX_NAME = 64  # characters
MAX_DEPTH = 16
WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")


@dataclass(slots=True)
class Members:
    """The names and values that nobody has taken yet, and what was wrong with the others.

    `are_words`: the values came as text, not as JSON, so that `300` is a number.
    `place` is the pointer to the object that they are members of.
    """

    values: dict[str, object] = field(default_factory=dict)
    are_words: bool = False
    faults: list[Fault] = field(default_factory=list)
    place: str = ""

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
          Problem: `malformed`, as `check_names` and `check_nested` say.
        """
        check_names(members)
        values = {name: from_json(raw, object) for name, raw in members.items()}
        check_nested(values)
        return cls(_present(values))

    def add_word(self, name: str, value: str) -> None:
        """Note a member that came as text."""
        if name in self.values:
            self.blame(name, "is given twice")
        self.values[name] = value

    def blame(self, name: str, why: str) -> None:
        """Note that something is wrong with a member."""
        self.faults.append(Fault(self.place + pointer(name), why))

    def inside(self, name: str) -> Members | None:
        """Take out the object of this name, empty if missing; None if it is something else."""
        return self._inside(self.values.pop(name, {}), pointer(name))

    def objects(self, name: str, *, least: int, most: int) -> list[Members | None]:
        """Take out the list of objects of this name; None stands for what is something else."""
        values = self.values.pop(name, None)
        if not isinstance(values, list) or not least <= len(values) <= most:
            self.blame(name, f"must be a list of {least} to {most} objects")
            return [None]
        place = pointer(name)
        return [self._inside(value, f"{place}/{n}") for n, value in enumerate(values)]

    def _inside(self, value: object, place: str) -> Members | None:
        if not isinstance(value, dict):
            self.faults.append(Fault(self.place + place, "must be an object"))
            return None
        return Members(_present(value), faults=self.faults, place=self.place + place)

    def take(self, kind: type[S], renamed: Mapping[str, str] = MappingProxyType({})) -> S | None:
        """Take the members of `kind` out; None if one of them is wrong or missing.

        Args:
          renamed: what a field of `kind` is called here, where that is not its own name.
        """
        members: dict[str, object] = {}
        faults_before = len(self.faults)
        for each in _fields(kind):
            name = renamed.get(each.name, each.name)
            value = self.values.pop(name, None)
            if value is not None:
                members[each.name] = self._taken(name, value, each.type)
            elif each.required:
                self.blame(name, "is missing")
        return kind(**members) if len(self.faults) == faults_before else None

    def _taken(self, name: str, value: object, kind: object) -> object:
        """Return a value as what `kind` says; of what is wrong with it, note every fault."""
        struct = _struct(kind)
        if struct and isinstance(value, dict):
            inner = Members(_present(value), faults=self.faults, place=self.place + pointer(name))
            taken = inner.take(struct)
            inner.refuse_rest("is no parameter here")
            return taken
        try:
            return self._convert(value, kind)
        except msgspec.ValidationError as error:
            place, why = _where_and_why(error)
            if not place:
                why = _described(kind) or _choices(kind) or _spelt_out(kind) or why
            self.faults.append(Fault(self.place + pointer(name) + place, why))
            return None

    def _convert(self, value: object, kind: object) -> object:
        if self.are_words and WHOLE_NUMBER.fullmatch(str(value)) and _may_be_text(kind):
            # As text it would be taken for what it is.
            value = int(str(value))
        member: object = msgspec.convert(value, kind, strict=not self.are_words)
        if member is None:
            # The word "null", which is none.
            raise msgspec.ValidationError("Expected a value")
        if self.are_words and type(member) is int and not WHOLE_NUMBER.fullmatch(str(value)):
            # "1e2" or "300.0", which JSON would be refused for as well.
            raise msgspec.ValidationError("Expected `int`, got `float`")
        if isinstance(member, datetime) and not DATE.match(str(value)):
            # Seconds since 1970, which msgspec takes from words.
            raise msgspec.ValidationError("Expected `datetime` as in RFC 3339")
        return member

    def refuse_rest(self, why: str) -> None:
        """Note each member that nobody has taken as a fault."""
        for name in self.values:
            self.blame(name, why)

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


def meaning(text: str) -> msgspec.Meta:
    """Say what a parameter is for, where the API is described.

    A `description` says what a value must be, and is told to whoever says something else.
    """
    return msgspec.Meta(extra_json_schema={"description": text})


def check_names(names: Collection[str]) -> None:
    """Check that all of `names` can be repeated in an answer.

    Raises:
      Problem: `malformed`, if there are too many of them, or one is too long.
    """
    if len(names) > MAX_MEMBERS:
        raise Problem("malformed", f"There are more than {MAX_MEMBERS} parameters.")
    if any(len(name) > MAX_NAME for name in names):
        raise Problem("malformed", f"A parameter's name has more than {MAX_NAME} characters.")


def check_nested(members: dict[str, object]) -> None:
    """Check that whatever is in `members` can be looked into, and its names be repeated.

    Raises:
      Problem: `malformed`, if it is nested too deep, or as `check_names` says.
    """
    layer: list[dict[str, object] | list[object]] = [members]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for each in layer:
            if isinstance(each, dict):
                check_names(each)
                inner += each.values()
            else:
                inner += each
        layer = [each for each in inner if isinstance(each, dict | list)]
    if layer:
        raise Problem("malformed", f"It is nested more than {MAX_DEPTH} deep.")


def from_json(text: bytes | msgspec.Raw, kind: type[T]) -> T:
    """Return what `text` says, as a `kind`.

    Raises:
      Problem: `malformed`, if it is no JSON, or nothing of that kind.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed", f"The body is no JSON object: {_fault(error)}.") from error


def _fault(error: Exception) -> str:
    """Return what is wrong with JSON, as a clause."""
    match error:
        case RecursionError():
            return "it is nested too deep"
        case UnicodeDecodeError():
            return "it is not UTF-8"
        case msgspec.ValidationError():
            is_range = "out of range" in str(error)
            return "a number in it is out of range" if is_range else "it is something else"
    text = str(error).removeprefix("JSON is malformed: ")
    return "it ends too early" if text == "Input data was truncated" else text


def pointer(name: str) -> str:
    """Return the JSON pointer to a member (RFC 6901, 3)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _present(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


@functools.cache
def _struct(kind: object) -> type[msgspec.Struct] | None:
    """Return the struct that `kind` allows, if there is one."""
    for each in _alternatives(kind):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _described(kind: object) -> str | None:
    """Return what a value must be, if its type says so in words."""
    for each in (kind, *get_args(kind)):
        for note in getattr(each, "__metadata__", ()):
            if isinstance(note, msgspec.Meta) and note.description:
                return f"must be {note.description}"
    return None


@functools.cache
def _may_be_text(kind: object) -> bool:
    """Whether `kind` allows a number, and some text as well."""
    alternatives = _alternatives(kind)
    return int in alternatives and str in alternatives


def _alternatives(kind: object) -> set[object]:
    # Of an annotated type, the first argument is the type itself.
    inner = get_args(kind)[:1] if hasattr(kind, "__metadata__") else get_args(kind)
    return {kind} if not inner else {each for one in inner for each in _alternatives(one)}


def _choices(kind: object) -> str | None:
    """Return which words the literals in `kind` allow, as a clause; None if there is no literal."""
    literals = [each for each in (kind, *get_args(kind)) if get_origin(each) is Literal]
    words = [word for literal in literals for word in get_args(literal)]
    return f"must be one of {', '.join(words)}" if words else None


_WORDS: Mapping[object, str] = MappingProxyType(
    {int: "a whole number", float: "a number", bool: "true or false"}
)


def _spelt_out(kind: object) -> str | None:
    """Return which number, truth or object a value must be, as a clause; None if it is no such."""
    alternatives = _alternatives(kind) - {type(None)}
    if len(alternatives) != 1:
        return None
    (plain,) = alternatives
    if isinstance(plain, type) and issubclass(plain, msgspec.Struct):
        return "must be an object"
    word = _WORDS.get(plain)
    return f"must be {word}{_range(kind)}" if word else None


def _range(kind: object) -> str:
    """Return within which bounds a number must be, as what follows the noun."""
    notes = [note for each in (kind, *get_args(kind)) for note in getattr(each, "__metadata__", ())]
    bounds = {
        name: bound
        for note in notes
        for name in ("ge", "gt", "le")
        if (bound := getattr(note, name, None)) is not None
    }
    match bounds:
        case {"ge": least, "le": most}:
            return f" from {least:,} to {most:,}"
        case {"gt": above, "le": most}:
            return f" above {above:,} and at most {most:,}"
        case {"ge": least}:
            return f" of at least {least:,}"
        case {"le": most}:
            return f" of at most {most:,}"
        case _:
            return ""


def _where_and_why(error: msgspec.ValidationError) -> tuple[str, str]:
    """Return the pointer to what is wrong inside of a list, and the reason as a clause."""
    text, _, path = str(error).partition(" - at `$")
    place = "".join(map(pointer, re.findall(r"\[([0-9]+)\]", path)))
    return place, _plainly(text)


_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "str": "a text",
        "array": "a list",
        "object": "an object",
        "datetime": "a time as in RFC 3339, with its zone",
    }
)
_EXPECTED = re.compile(r"Expected `([a-z |]+)`(?: of length)?(?: ([<>]=?)? ?([0-9.]+))?")
_BOUNDS = MappingProxyType(
    {"": "", ">=": "at least ", "<=": "at most ", ">": "more than ", "<": "less than "}
)


def _plainly(text: str) -> str:
    """Return what msgspec expects as a clause in words that know nothing of Python."""
    if "RFC3339" in text:
        return f"must be {_KINDS['datetime']}"
    expected = _EXPECTED.match(text)
    if expected is None:
        return "is no value that it can have"
    names = [each for each in expected[1].split(" | ") if each != "null"]
    kinds = " or ".join(_KINDS.get(each, "another value") for each in names)
    if " matching regex " in text:
        return f"must be {kinds} of another form"
    if expected[3] is None:
        return f"must be {kinds}"
    unit = " characters" if names == ["str"] else ""
    return f"must be {kinds} of {_BOUNDS[expected[2] or '']}{expected[3]}{unit}"
