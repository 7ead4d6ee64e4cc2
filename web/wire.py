"""HTTP to messages and back; no I/O.

A submission comes in three forms (JSON, multipart, the bare image with a query), and leaves here
as one `Submit`. What is wrong with its values is found all at once, with a pointer to each fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, get_args

import msgspec
import pybase64
from msgspec import Raw
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import (
    BLANK_LINE_RE,
    Data,
    Epilogue,
    Event,
    Field,
    File,
    MultipartDecoder,
    NeedData,
    State,
)

from actors.imaging.facts import Format
from actors.imaging.recipe import Operation, Output, Quality, Recipe
from actors.messages import Submit
from actors.storage.ports import Priority
from web.problems import Fault, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

S = TypeVar("S", bound=msgspec.Struct)

MAX_DEPTH = 16
MAX_MEMBERS = 64
MAX_PARTS = 32
MAX_PART_HEAD = 4096  # bytes; Werkzeug takes a second for a megabyte of parameters
OPERATIONS = {each.__struct_config__.tag: each for each in get_args(Operation)}
OLD_FORMAT_NAMES = {"jpg": "jpeg"}
WHOLE_NUMBER = re.compile(r"-?[0-9]+")


@dataclass(frozen=True, slots=True)
class WireLimits:
    """`image`: bytes of an image. `json`: bytes of a JSON body besides the image."""

    image: int
    json: int


@dataclass(slots=True)
class _Said:
    """What a request says, before it is checked. Words are what came as text, not as JSON."""

    images: dict[str, bytes] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)
    are_words: bool = False
    faults: list[Fault] = field(default_factory=list)


def submission(
    content_type: str, body: bytes, query: Iterable[tuple[str, str]], limits: WireLimits
) -> Submit:
    """Return what the client asks for.

    Raises:
      Problem: `unsupported_media_type`, `malformed`, `too_large`, or `invalid` with every fault.
    """
    kind, options = parse_options_header(content_type)
    kind = kind.lower()
    if kind == "application/json":
        said = _from_json(body, limits)
    elif kind == "multipart/form-data":
        said = _from_form(body, options.get("boundary", ""), limits)
    elif kind.startswith("image/") or kind == "application/octet-stream":
        said = _from_words(query)
        said.images["image"] = body
    else:
        raise Problem(
            "unsupported_media_type",
            "Send application/json, multipart/form-data, or the image itself as image/*.",
        )
    return _checked(said, limits)


# --- The three forms ------------------------------------------------------------------------------


def _from_json(body: bytes, limits: WireLimits) -> _Said:
    try:
        members = msgspec.json.decode(body, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed", f"The body is no JSON object: {error}") from error
    image = members.pop("image_data", None)
    if len(body) - len(image or b"") > limits.json:
        raise Problem("too_large", f"The JSON besides the image has more than {limits.json} bytes.")
    if len(members) > MAX_MEMBERS:
        raise Problem("malformed", f"The JSON has more than {MAX_MEMBERS} members.")
    try:
        values = {name: msgspec.json.decode(raw) for name, raw in members.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed", f"The body is no JSON object: {error}") from error
    if _depth(values) > MAX_DEPTH:
        raise Problem("malformed", f"The JSON is nested more than {MAX_DEPTH} deep.")
    said = _Said(values={name: value for name, value in values.items() if value is not None})
    if image is not None and bytes(image) != b"null":
        _read_base64(bytes(image), said)
    return said


def _depth(value: object) -> int:
    """Return how deep lists and objects are nested."""
    depth, layer = 0, [value]
    while layer := [
        inner
        for outer in layer
        if isinstance(outer, dict | list)
        for inner in (outer.values() if isinstance(outer, dict) else outer)
    ]:
        depth += 1
    return depth


def _read_base64(raw: bytes, said: _Said) -> None:
    if not raw.startswith(b'"'):
        said.faults.append(Fault("/image_data", "must be a string of base64"))
        return
    text = msgspec.json.decode(raw, type=str).encode() if b"\\" in raw else raw[1:-1]
    if text[:5].lower() == b"data:":
        header, _, text = text.partition(b",")
        if not header.lower().endswith(b";base64"):
            raise Problem("malformed", "The data: URI in image_data is not in base64.")
    if b"\n" in text or b"\r" in text:
        text = text.translate(None, b"\r\n")
    try:
        said.images["image_data"] = pybase64.b64decode(text, validate=True)
    except ValueError as error:
        raise Problem("malformed", "image_data is no standard base64 with padding.") from error


def _from_form(body: bytes, boundary: str, limits: WireLimits) -> _Said:
    form = _Said(are_words=True)
    inner: _Said | None = None
    for name, data in _parts(body, boundary):
        if name == "image":
            if "image" in form.images:
                form.faults.append(Fault("/image", "is given twice"))
            form.images["image"] = data
        elif name == "request":
            if inner is not None:
                form.faults.append(Fault("/request", "is given twice"))
            inner = _from_json(data, limits)
        else:
            _add_word(form, name, _text(data))
    if inner is None:
        return form
    form.faults += [
        Fault(_pointer(name), "must be in the part `request`, since there is one")
        for name in form.values
    ]
    return _Said(form.images | inner.images, inner.values, False, form.faults + inner.faults)


def _parts(body: bytes, boundary: str) -> Iterable[tuple[str, bytes]]:
    """Yield the name and the bytes of each part of a form."""
    if not boundary:
        raise Problem("malformed", "The Content-Type of the form names no boundary.")
    try:
        decoder = MultipartDecoder(boundary.encode("ascii"), max_parts=MAX_PARTS)
        decoder.receive_data(body)
        decoder.receive_data(None)
        name, data = "", bytearray()
        while not isinstance(event := _next(decoder), Epilogue | NeedData):
            if isinstance(event, Field | File):
                name, data = _name(event), bytearray()
            elif isinstance(event, Data):
                data += event.data
                if not event.more_data:
                    yield name, bytes(data)
    except HTTPException as error:
        raise Problem("too_large", f"The form has more than {MAX_PARTS} parts.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Problem("malformed", "The form is broken.") from error
    if not isinstance(event, Epilogue):
        raise Problem("malformed", "The form ends too early.")


def _next(decoder: MultipartDecoder) -> Event:
    in_head = decoder.state is State.PART
    if in_head and not BLANK_LINE_RE.search(decoder.buffer, 0, MAX_PART_HEAD):
        raise ValueError("the head of a part has no end, or is too long")
    return decoder.next_event()


def _name(part: Field | File) -> str:
    name: str | None = part.name  # None if it has none, whatever Werkzeug's annotation says.
    if name is None:
        raise ValueError("a part has no name")
    return name


def _from_words(query: Iterable[tuple[str, str]]) -> _Said:
    said = _Said(are_words=True)
    for name, value in query:
        _add_word(said, name, value)
    return said


def _add_word(said: _Said, name: str, value: str) -> None:
    if name in said.values:
        said.faults.append(Fault(_pointer(name), "is given twice"))
    said.values[name] = value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Problem("malformed", "A field of the form is not UTF-8.") from error


# --- The checks -----------------------------------------------------------------------------------


def _checked(said: _Said, limits: WireLimits) -> Submit:
    faults = said.faults
    data = _image(said, limits)
    operation = said.values.pop("operation", None)
    kind = OPERATIONS.get(operation) if isinstance(operation, str) else None
    if kind is None:
        faults.append(Fault("/operation", f"must be one of {', '.join(OPERATIONS)}"))
    step = _struct(kind, said) if kind else None
    output = _struct(_OutputWords, said)
    submit = _struct(_JobWords, said)
    if kind:
        faults += [Fault(_pointer(name), f"is no parameter of {operation}") for name in said.values]
    if faults or step is None or output is None or submit is None:
        raise invalid(faults)
    recipe = Recipe((step,), Output(format=output.output_format, quality=output.quality))
    return Submit(data, str(operation), recipe, submit.priority)


class _OutputWords(msgspec.Struct):
    """The members of `Output`, under the names that the short form has for them."""

    output_format: Format | None = None
    quality: Quality = Output().quality


class _JobWords(msgspec.Struct):
    """What a request says of the job and not of the image."""

    priority: Priority = "normal"


def _image(said: _Said, limits: WireLimits) -> bytes:
    for name in ("image_url", "image_id"):
        if said.values.pop(name, None) is not None:
            said.faults.append(Fault(f"/{name}", "is not supported by this version"))
    if len(said.images) > 1:
        said.faults.append(Fault("", f"must have one image, not {' and '.join(said.images)}"))
    if not said.images:
        if not said.faults:
            said.faults.append(Fault("/image_data", "an image is missing"))
        return b""
    name, data = next(iter(said.images.items()))
    if not data:
        said.faults.append(Fault(f"/{name}", "is empty"))
    if len(data) > limits.image:
        raise Problem("too_large", f"The image has more than {limits.image} bytes.")
    return data


def _struct(kind: type[S], said: _Said) -> S | None:
    """Take the members of `kind` out of what was said; note every one that is wrong or missing."""
    members: dict[str, object] = {}
    sound = True
    for each in msgspec.structs.fields(kind):
        value = said.values.pop(each.name, None)
        if each.name == "output_format" and isinstance(value, str):
            value = OLD_FORMAT_NAMES.get(value, value)
        if value is None:
            if each.required:
                said.faults.append(Fault(f"/{each.name}", "is missing"))
                sound = False
            continue
        try:
            member = msgspec.convert(value, each.type, strict=not said.are_words)
            if type(member) is int and not WHOLE_NUMBER.fullmatch(str(value)):
                # Words such as "1e2" or "300.0", which JSON would be refused for as well.
                raise msgspec.ValidationError("Expected `int`, got `float`")  # noqa: TRY301
            members[each.name] = member
        except msgspec.ValidationError as error:
            said.faults.append(Fault(f"/{each.name}", _sentence(error)))
            sound = False
    return kind(**members) if sound else None


def _pointer(name: str) -> str:
    """Return the JSON pointer to a member (RFC 6901, 3)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _sentence(error: msgspec.ValidationError) -> str:
    text = str(error)
    return text[:1].lower() + text[1:]
