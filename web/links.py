"""Links that give one download to whoever has them, for a while, without a key.

A link is signed over all that it gives: the path, the output, the end. The tenant need not be in
it, since an id is of one job for ever; so a wrong link costs no look into the catalogue.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlencode

import msgspec
import trio
from msgspec import Meta
from quart import Blueprint
from quart_trio.wrappers import TrioResponse as Response

from actors.errors import OutputNotFound
from actors.imaging.recipe import Name
from actors.messages import Find, LearnLinkSecret
from actors.storage.ports import BlobNotFound
from web.answers import Moment, time_text
from web.downloads import not_there
from web.members import Members, from_json, meaning
from web.problems import Problem
from web.recent import Recent
from web.replies import json_reply
from web.uploads import upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.mailbox import Address
    from actors.storage.ports import Job
    from web.envoy import Envoy

LONGEST = 7 * 24 * 60 * 60  # seconds
SECRET_AGE = 1.0  # seconds until a secret that was renewed is noticed
MAX_BODY = 1024  # bytes
_MOMENT = re.compile(r"[1-9][0-9]{0,11}")


class Link(NamedTuple):
    """A path with its query, and the Unix time at which it ends."""

    url: str
    expires: int


class Links:
    """Signs links, and knows those that it has signed."""

    def __init__(
        self, dispatcher: Address, patience: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._dispatcher = dispatcher
        self._patience = patience
        self._now = clock
        self._secret = Recent(self._learn, age=SECRET_AGE, size=1)

    async def _learn(self, _: None) -> str:
        return await self._dispatcher.ask(LearnLinkSecret())

    async def sign(self, job_id: str, output: str | None, lifetime: int) -> Link:
        """Return a link to an output of a job, or to the first, that is good for so many seconds.

        Raises:
          trio.TooSlowError, AskFailed, StorageError: if the secret cannot be had.
        """
        expires = int(self._now()) + lifetime
        words = {} if output is None else {"output": output}
        signature = await self._signature(job_id, output, expires)
        query = urlencode({**words, "expires": expires, "signature": signature})
        return Link(f"{_path(job_id)}?{query}", expires)

    async def is_good(self, job_id: str, output: str | None, expires: str, signature: str) -> bool:
        """Whether a link that says this was signed here, and has not ended. Raises as `sign`."""
        if not _MOMENT.fullmatch(expires):
            return False
        right = await self._signature(job_id, output, int(expires))
        is_ours = hmac.compare_digest(right.encode(), signature.encode(errors="replace"))
        return is_ours and self._now() < int(expires)

    async def _signature(self, job_id: str, output: str | None, expires: int) -> str:
        with trio.fail_after(self._patience):
            secret = await self._secret.get(None)
        # As JSON, so that no two links are the same text.
        text = msgspec.json.encode((_path(job_id), output, expires))
        return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


class LinkWords(msgspec.Struct):
    """The body that asks for a link."""

    expires_in: Annotated[int, Meta(ge=1, le=LONGEST), meaning("For how many seconds.")]
    output: Annotated[Name, meaning("Which one; by default the first.")] | None = None


class LinkMade(msgspec.Struct):
    """A link to a result."""

    url: Annotated[str, Meta(description="path and query, on this service")]
    expires_at: Moment


def links_blueprint(envoy: Envoy, links: Links) -> Blueprint:
    """POST /jobs/{id}/links."""
    blueprint = Blueprint("links", __name__)

    @blueprint.post("/jobs/<job_id>/links")
    async def link(job_id: str) -> Response:
        body = await upload().read()
        if len(body) > MAX_BODY:
            raise Problem("too_large", f"The JSON has more than {MAX_BODY} bytes.")
        words = Members.of_json(from_json(body, dict[str, msgspec.Raw])).only(LinkWords)
        job = await envoy.ask(Find(job_id))
        _check_hope(job, words.output)
        made = await links.sign(job.id, words.output, words.expires_in)
        told = LinkMade(made.url, time_text(made.expires))
        text = await envoy.settle(msgspec.json.encode(told).decode())
        return json_reply(text.encode(), 201)

    return blueprint


def _check_hope(job: Job, output: str | None) -> None:
    """Make sure that there is such a result, or may be once the job has ended.

    Raises:
      Problem: `job_failed`, `job_cancelled`.
      OutputNotFound, BlobNotFound: as for the download.
    """
    if job.status in {"failed", "cancelled"}:
        raise not_there(job)
    if job.gone_at is not None:
        raise BlobNotFound(job.id)
    if job.outputs and output is not None and output not in {each.name for each in job.outputs}:
        raise OutputNotFound(output)


def _path(job_id: str) -> str:
    return f"/jobs/{job_id}/download"
