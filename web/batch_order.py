"""A batch as a client asks for it: many jobs in one JSON object, checked all at once; no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Raw

from actors.messages import SubmitBatch
from web.members import Members, from_json, meaning, pointer
from web.problems import MAX_FAULTS, Fault, Problem, invalid
from web.wire import (
    NoteWords,
    checked_callback,
    checked_metadata,
    take_named_image,
    take_order,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from web.wire import Body, Offer, Order, WireLimits

JOBS, DEFAULTS = "jobs", "defaults"
# What is said once is checked, and kept, for each job: the defaults of all jobs together may be so
# many times as large as a body.
SPREAD = 4
TOO_MUCH = (
    "The defaults, said for each of the jobs, are more than {} bytes: "
    "send fewer jobs at once, or name a preset."
)


class BatchWords(msgspec.Struct):
    """What a request says of the batch as a whole, besides what it is to be given back."""

    callback_url: (
        Annotated[str, meaning("Who is told of the end of all, by a POST of JSON that is signed.")]
        | None
    ) = None


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """Jobs that a client asks for together.

    `places` are, for each job, the pointers to where it names each image.
    """

    batch: SubmitBatch
    places: tuple[Mapping[str, str], ...]

    def without(self, image_ids: frozenset[str]) -> Problem:
        """Return the problem that there are no such images."""
        pointers = [
            place
            for places in self.places
            for image_id, place in places.items()
            if image_id in image_ids
        ]
        # What is said once for all jobs is wrong once.
        return invalid(
            [Fault(each, "is no image that is there") for each in dict.fromkeys(pointers)]
        )


def batch_order(body: Body, limits: WireLimits, offer: Offer) -> BatchOrder:
    """Return what the client asks for.

    Raises:
      Problem: `unsupported_media_type`, `too_large`, `malformed`; or `invalid`, with every fault of
        every job, up to `MAX_FAULTS`.
    """
    batch = _members(body, limits)
    defaults = batch.inside(DEFAULTS)
    items = batch.objects(JOBS, least=1, most=limits.batch)
    words, notes = batch.take(BatchWords) or BatchWords(), batch.take(NoteWords) or NoteWords()
    callback_url = checked_callback(words.callback_url, batch, limits)
    metadata = checked_metadata(notes.metadata, batch)
    batch.refuse_rest("is no parameter here")
    most = SPREAD * limits.json
    if defaults and len(msgspec.json.encode(defaults.values)) * len(items) > most:
        raise Problem("too_large", TOO_MUCH.format(most))
    faults = batch.faults
    orders: list[Order] = []
    for item in items:
        if item is None or defaults is None:
            continue
        if len(faults) >= MAX_FAULTS:
            break
        shared = {pointer(name) for name in defaults.values.keys() - item.values.keys()}
        job = Members({**defaults.values, **item.values}, place=item.place)
        order = _take(job, limits, offer)
        faults += [
            fault
            for each in job.faults
            if (fault := Fault(_said_at(each.pointer, item.place, shared), each.detail))
            not in faults
        ]
        if order is not None:
            places = {
                image_id: _said_at(item.place + place, item.place, shared)
                for image_id, place in order.places.items()
            }
            orders.append(replace(order, places=places))
    if faults:
        raise invalid(faults)
    jobs = tuple(each.job for each in orders)
    message = SubmitBatch(jobs, callback_url=callback_url, metadata=metadata)
    return BatchOrder(message, tuple(each.places for each in orders))


def _members(body: Body, limits: WireLimits) -> Members:
    if body.content_type.partition(";")[0].strip().lower() != "application/json":
        raise Problem("unsupported_media_type", "Send application/json.")
    if len(body.data) > limits.json:
        raise Problem("too_large", f"The JSON has more than {limits.json} bytes.")
    return Members.of_json(from_json(body.data, dict[str, Raw]))


def _take(job: Members, limits: WireLimits, offer: Offer) -> Order | None:
    if job.values.pop("image_data", None) is not None:
        job.blame("image_data", "cannot be sent with a batch: upload it to /images before")
        job.values.pop("image_id", None)
    image = take_named_image(job, limits)
    return take_order(job, image, limits, offer)


def _said_at(where: str, place: str, shared: Collection[str]) -> str:
    """Return the pointer to what was said in this place, or is one of the shared members there."""
    inside = where.removeprefix(place)
    member = "/".join(inside.split("/")[:2])
    return f"/{DEFAULTS}{inside}" if member in shared else where
