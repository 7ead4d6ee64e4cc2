"""HTTP to messages and back; no I/O.

A submission comes in three forms (JSON, multipart, the bare image with a query), and leaves here
as one `Order`. What is wrong with its values is found all at once, with a pointer to each fault.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec
import pybase64
from msgspec import Meta, Raw
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

from actors.messages import Submit
from actors.outside.allowance import Allowance
from actors.outside.errors import SourceForbidden
from actors.outside.targets import parse_target
from actors.storage.ports import Elsewhere, Priority
from web.members import MAX_NAME, Members, check_names, from_json, meaning, pointer
from web.problems import Fault, Problem, invalid
from web.recipes import take_recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from actors.imaging.errors import Misfits
    from actors.imaging.facts import Written
    from actors.imaging.recipe import Recipe
    from web.recipes import Form

NOT_FETCHED = "is for POST /jobs alone: send the image itself"
MAX_PARTS = 32
MAX_METADATA = 8192  # bytes of it, as JSON
MAX_METADATA_MEMBERS = 32
MAX_PART_HEAD = 4096  # bytes; Werkzeug takes a second for a megabyte of parameters


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class WireLimits:
    """`image`: bytes of an image. `json`: bytes of a JSON body besides the image.

    `sources`: whom an image may be fetched from, and who may be told of a job. `retain`: seconds
    that a client can ask for.
    `delay`: seconds that a job may be put off. `attempts`: the most that it may ask for.
    `batch`: jobs in one request. `now`: the time.
    """

    image: int
    json: int
    sources: Allowance = field(default_factory=Allowance)
    retain: int = 10**9
    delay: int = 30 * 86_400
    attempts: int = 3
    batch: int = 1000
    now: Callable[[], datetime] = utc_now


@dataclass(slots=True)
class _Said:
    """What a request says, before it is checked. `is_bare`: its body is the image, if any."""

    members: Members
    images: dict[str, bytes] = field(default_factory=dict)
    is_bare: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """What a recipe may refer to: `presets` by name; `accepts` are the formats for `auto`."""

    presets: Mapping[str, Recipe] = field(default_factory=dict)
    accepts: tuple[Written, ...] = ()


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body, with the query that goes with it."""

    content_type: str
    data: bytes
    query: Iterable[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """A job that a client asks for.

    `form` is how it says the recipe; `places` are the pointers to where it names each image.
    """

    job: Submit
    form: Form
    places: Mapping[str, str]

    def without(self, image_id: str) -> Problem:
        """Return the problem that there is no such image."""
        return invalid([Fault(self.places.get(image_id, ""), "is no image that is there")])

    def misfitting(self, error: Misfits) -> Problem:
        """Return the problem that the recipe does not fit the image."""
        faults: list[Fault] = []
        for output, step, why in error.misfits:
            place = self.form.output if step is None else self.form.step
            faults.append(Fault(place.format(output=output, step=step), why))
        return Problem("invalid", str(error), faults=faults)


# Each of these raises a `Problem`: `unsupported_media_type`, `malformed`, `too_large`, or `invalid`
# with every fault.


def order(body: Body, limits: WireLimits, offer: Offer) -> Order:
    """Return what the client asks for."""
    said = _said(body, limits)
    ordered = take_order(said.members, _image(said, limits), limits, offer)
    if ordered is None:
        raise invalid(said.members.faults)
    return ordered


def take_order(
    members: Members, image: bytes | Elsewhere | str, limits: WireLimits, offer: Offer
) -> Order | None:
    """Take what is asked for of `image` out of `members`, which must be all that is left there.

    Returns None if something is wrong with them.
    """
    notes = _notes(members)
    recipe = take_recipe(members, offer.presets, offer.accepts)
    words = members.take(JobWords)
    start = _start(words, members, limits) if words else None
    members.refuse_rest("is no parameter here")
    if words and (words.retain or 0) > limits.retain:
        members.blame("retain", f"must be at most {limits.retain} seconds here")
    callback_url = checked_callback(words.callback_url if words else None, members, limits)
    metadata = checked_metadata(notes.metadata, members)
    if members.faults or recipe is None or words is None:
        return None
    job = Submit(
        *(image, recipe.operation, recipe.recipe),
        *(words.priority, recipe.preset, words.retain),
        start=start,
        max_attempts=words.max_attempts,
        callback_url=callback_url,
        metadata=metadata,
    )
    own = {image: "/image_id"} if isinstance(image, str) else {}
    return Order(job, recipe.form, {**recipe.places, **own})


def picture(body: Body, limits: WireLimits) -> bytes:
    """Return the image, which must be all that the client sends."""
    said = _said(body, limits)
    image = _image(said, limits)
    said.members.refuse_rest("is no parameter here")
    if said.members.faults:
        raise invalid(said.members.faults)
    here = known(image)
    if isinstance(here, str):
        raise invalid([Fault("/image_id", "is no image of its own")])
    return here


def known(image: bytes | Elsewhere | str) -> bytes | str:
    """Return the image, if nothing has to be fetched to look at it."""
    if isinstance(image, Elsewhere):
        raise invalid([Fault("/image_url", NOT_FETCHED)])
    return image


def _said(body: Body, limits: WireLimits) -> _Said:
    kind, options = parse_options_header(body.content_type)
    kind = kind.lower()
    if kind == "application/json":
        return _from_json(body.data, limits)
    if kind == "multipart/form-data":
        return _from_form(body.data, options.get("boundary", ""), limits)
    if kind.startswith("image/") or kind == "application/octet-stream":
        return _Said(Members.of_query(body.query), {"image": body.data}, is_bare=True)
    if not kind and not body.data:
        members = Members.of_query(body.query)
        if members.values.keys() & {"image_id", "image_url"}:
            return _Said(members)
    raise Problem(
        "unsupported_media_type",
        "Send application/json, multipart/form-data, or the image itself as image/*.",
    )


# --- The three forms ------------------------------------------------------------------------------


class _LargeWords(msgspec.Struct):
    """The one member that may be large."""

    image_data: Raw = Raw(b"null")


def _from_json(body: bytes, limits: WireLimits) -> _Said:
    # First without the other members: of those, a body could bring millions.
    image = bytes(from_json(body, _LargeWords).image_data)
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
    text = from_json(raw, str).encode() if b"\\" in raw else raw[1:-1]
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


class JobWords(msgspec.Struct):
    """What a request says of the job and not of the image."""

    priority: Annotated[Priority, meaning("What is more urgent begins earlier.")] = "normal"
    retain: (
        Annotated[
            int, Meta(ge=1), meaning("For how many seconds its files are kept once it has ended.")
        ]
        | None
    ) = None
    callback_url: (
        Annotated[str, meaning("Who is told of its end, by a POST of JSON that is signed.")] | None
    ) = None
    run_at: (
        Annotated[
            datetime, Meta(tz=True), meaning("Before which time it is not begun; not with `delay`.")
        ]
        | None
    ) = None
    delay: Annotated[float, Meta(ge=0), meaning("For how many seconds it is not begun.")] | None = (
        None
    )
    max_attempts: (
        Annotated[int, Meta(ge=1), meaning("How often it may be begun before it has failed.")]
        | None
    ) = None


class NoteWords(msgspec.Struct):
    """What a request can say of the job in JSON alone, since it is an object."""

    metadata: (
        Annotated[
            dict[str, str | int | float | bool | None],
            Meta(
                max_length=MAX_METADATA_MEMBERS,
                description=f"an object of up to {MAX_METADATA_MEMBERS} members, which are texts, "
                "numbers, true, false or null",
            ),
            meaning("What the client wants to know again: it is given back as it was."),
        ]
        | None
    ) = None


class ImageWords(msgspec.Struct):
    """Where an image is that is not sent."""

    image_id: (
        Annotated[
            str,
            Meta(min_length=1, max_length=MAX_NAME),
            meaning("An image that was uploaded, in place of one that is sent."),
        ]
        | None
    ) = None
    image_url: (
        Annotated[str, meaning("Where to fetch the image, in place of one that is sent.")] | None
    ) = None


def _start(words: JobWords, members: Members, limits: WireLimits) -> datetime | timedelta | None:
    """Return when the job may be begun; note what is wrong with that, or with its attempts."""
    if words.max_attempts and words.max_attempts > limits.attempts:
        members.blame("max_attempts", f"must be from 1 to {limits.attempts}")
    if words.run_at and words.delay is not None:
        members.faults.append(Fault(members.place, "must have run_at or delay, not both"))
    far = f"must be at most {limits.delay} seconds ahead"
    if words.delay is not None:
        if words.delay <= limits.delay:
            return timedelta(seconds=words.delay)
        members.blame("delay", far)
    if words.run_at is not None:
        try:
            run_at = words.run_at.astimezone(UTC)
        except OverflowError:
            members.blame("run_at", "is beyond the calendar")
            return None
        if (run_at - limits.now()).total_seconds() <= limits.delay:
            return run_at
        members.blame("run_at", far)
    return None


def _image(said: _Said, limits: WireLimits) -> bytes | Elsewhere | str:
    members, faults = said.members, said.members.faults
    words = members.take(ImageWords) or ImageWords()
    named = [name for name in ("image_id", "image_url") if getattr(words, name) is not None]
    if named and said.is_bare and said.images == {"image": b""}:
        said.images.clear()  # There is no body.
    names = [*said.images, *named]
    if len(names) > 1:
        faults.append(Fault("", f"must have one image, not {' and '.join(names)}"))
    if named:
        return _named_image(words, members, limits)
    if not said.images:
        if not faults:
            members.blame("image" if members.are_words else "image_data", "is missing")
        return b""
    name, data = next(iter(said.images.items()))
    if not data:
        members.blame(name, "is empty")
    if len(data) > limits.image:
        raise Problem("too_large", f"The image has more than {limits.image} bytes.")
    return data


def take_named_image(members: Members, limits: WireLimits) -> Elsewhere | str:
    """Take the name of an image that is not sent out of `members`."""
    words = members.take(ImageWords) or ImageWords()
    if words.image_id is not None and words.image_url is not None:
        members.faults.append(Fault(members.place, "must have one image, not two"))
    elif words.image_id is None and words.image_url is None and not members.faults:
        members.faults.append(Fault(members.place, "must have an image_id or an image_url"))
    return _named_image(words, members, limits)


def _named_image(words: ImageWords, members: Members, limits: WireLimits) -> Elsewhere | str:
    if words.image_url is not None:
        return _elsewhere(words.image_url, members, limits)
    return words.image_id or ""


def _elsewhere(url: str, members: Members, limits: WireLimits) -> Elsewhere:
    try:
        parse_target(url, limits.sources)
    except SourceForbidden as error:
        # As a clause among others, and after the pointer.
        members.blame("image_url", f"cannot be fetched: {error}")
    return Elsewhere(url)


def checked_callback(url: str | None, members: Members, limits: WireLimits) -> str | None:
    """Return an address as it will be asked."""
    if url is None:
        return None
    try:
        return str(parse_target(url, limits.sources))
    except SourceForbidden as error:
        members.blame("callback_url", f"cannot be called: {error}")
        return None


def _notes(members: Members) -> NoteWords:
    # As a text it is a parameter of an output, which the short form has in the same place.
    is_ours = isinstance(members.values.get("metadata"), dict)
    return (members.take(NoteWords) if is_ours else None) or NoteWords()


def checked_metadata(said: Mapping[str, object] | None, members: Members) -> str | None:
    """Return what the client wants to have back, as JSON."""
    if said is None:
        return None
    text = msgspec.json.encode(said)
    if len(text) > MAX_METADATA:
        members.blame("metadata", f"must be at most {MAX_METADATA} bytes of JSON")
    return text.decode()
