"""HTTP to messages and back; no I/O.

A submission comes in three forms (JSON, multipart, the bare image with a query), and leaves here
as one `Submit`. What is wrong with its values is found all at once, with a pointer to each fault.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

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
from web.members import Members, check_names, from_json, pointer
from web.problems import Fault, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PARTS = 32
MAX_PART_HEAD = 4096  # bytes; Werkzeug takes a second for a megabyte of parameters
OPERATIONS = {each.__struct_config__.tag: each for each in get_args(Operation)}


@dataclass(frozen=True, slots=True)
class WireLimits:
    """`image`: bytes of an image. `json`: bytes of a JSON body besides the image."""

    image: int
    json: int


@dataclass(slots=True)
class _Said:
    """What a request says, before it is checked."""

    members: Members
    images: dict[str, bytes] = field(default_factory=dict)


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
        said = _Said(Members.of_query(query), {"image": body})
    else:
        raise Problem(
            "unsupported_media_type",
            "Send application/json, multipart/form-data, or the image itself as image/*.",
        )
    return _checked(said, limits)


# --- The three forms ------------------------------------------------------------------------------


class _ImageWords(msgspec.Struct):
    """The one member that may be large."""

    image_data: Raw = Raw(b"null")


def _from_json(body: bytes, limits: WireLimits) -> _Said:
    # First without the other members: of those, a body could bring millions.
    image = bytes(from_json(body, _ImageWords).image_data)
    if len(body) - len(image) > limits.json:
        raise Problem("too_large", f"The JSON besides the image has more than {limits.json} bytes.")
    members = from_json(body, dict[str, Raw])
    members.pop("image_data", None)
    said = _Said(Members.of_json(members))
    if image != b"null":
        _read_base64(image, said)
    return said


def _read_base64(raw: bytes, said: _Said) -> None:
    if not raw.startswith(b'"'):
        said.members.faults.append(Fault("/image_data", "must be a string of base64"))
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
    form, inner = _Said(Members(are_words=True)), None
    faults = form.members.faults
    for name, is_file, data in _parts(body, boundary):
        if name == "image":
            if "image" in form.images:
                faults.append(Fault("/image", "is given twice"))
            form.images["image"] = data
        elif name == "request":
            if inner is not None:
                faults.append(Fault("/request", "is given twice"))
            inner = _from_json(data, limits)
        elif is_file:
            faults.append(Fault(pointer(name), "is a file, and the image belongs in `image`"))
        else:
            form.members.add_word(name, _text(data))
    if inner is None:
        return form
    form.members.refuse_rest("must be in the part `request`, since there is one")
    inner.members.faults += faults
    inner.images |= form.images
    return inner


def _parts(body: bytes, boundary: str) -> Iterable[tuple[str, bool, bytes]]:
    """Yield the name of each part of a form, whether it is a file, and its bytes."""
    if not boundary:
        raise Problem("malformed", "The Content-Type of the form names no boundary.")
    try:
        decoder = MultipartDecoder(boundary.encode("ascii"), max_parts=MAX_PARTS)
        decoder.receive_data(body)
        decoder.receive_data(None)
        name, is_file, data = "", False, bytearray()
        while not isinstance(event := _next(decoder), Epilogue | NeedData):
            if isinstance(event, Field | File):
                name, is_file, data = _name(event), isinstance(event, File), bytearray()
            elif isinstance(event, Data):
                data += event.data
                if not event.more_data:
                    yield name, is_file, bytes(data)
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
    check_names([name])
    return name


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Problem("malformed", "A field of the form is not UTF-8.") from error


# --- The checks -----------------------------------------------------------------------------------


def _checked(said: _Said, limits: WireLimits) -> Submit:
    members = said.members
    data = _image(said, limits)
    operation = members.values.pop("operation", None)
    kind = OPERATIONS.get(operation) if isinstance(operation, str) else None
    if kind is None:
        members.faults.append(Fault("/operation", f"must be one of {', '.join(OPERATIONS)}"))
    if members.values.get("output_format") == "jpg":
        members.values["output_format"] = "jpeg"
    step = members.take(kind) if kind else None
    output = members.take(_OutputWords)
    submit = members.take(_JobWords)
    if kind:
        members.refuse_rest(f"is no parameter of {operation}")
    if members.faults or step is None or output is None or submit is None:
        raise invalid(members.faults)
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
    values, faults = said.members.values, said.members.faults
    for name in ("image_url", "image_id"):
        if values.pop(name, None) is not None:
            faults.append(Fault(f"/{name}", "is not supported by this version"))
    if len(said.images) > 1:
        faults.append(Fault("", f"must have one image, not {' and '.join(said.images)}"))
    if not said.images:
        if not faults:
            name = "image" if said.members.are_words else "image_data"
            faults.append(Fault(f"/{name}", "is missing"))
        return b""
    name, data = next(iter(said.images.items()))
    if not data:
        faults.append(Fault(f"/{name}", "is empty"))
    if len(data) > limits.image:
        raise Problem("too_large", f"The image has more than {limits.image} bytes.")
    return data
