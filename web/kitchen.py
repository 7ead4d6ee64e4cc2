"""What a request says of pictures, read from the connection and put into a message."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import trio
from quart import request

from actors.imaging.facts import DEFAULT_LIMITS, Limits
from actors.imaging.inspect import count_pixels
from actors.threads import in_thread
from web import wire
from web.accept import accepted
from web.batch_order import batch_order
from web.gate import account
from web.problems import Problem
from web.uploads import upload

if TYPE_CHECKING:
    from actors.messages import Submit
    from web.batch_order import BatchOrder
    from web.presets import Presets

READERS = 2  # threads that count pixels and check batches
NONE_OF_OURS = "The Accept allows none of AVIF, WebP, JPEG, PNG and GIF, from which auto chooses."


@dataclass(frozen=True, slots=True)
class Kitchen:
    """Reads requests under `limits`, with the operator's `presets`.

    What takes long is done in `threads`: batches are checked, and pixels counted. The pixels of
    what is beyond `images` are none.
    """

    limits: wire.WireLimits
    presets: Presets
    images: Limits = DEFAULT_LIMITS
    threads: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(READERS))

    async def order(self) -> wire.Order:
        """Return what the request asks for.

        Raises `Problem` as `wire` says, and if its client takes no format that is made for it.
        """
        offer = self._offer()
        order = wire.order(await self._body(), self.limits, offer)
        _check_accepted(offer, order.job)
        return order

    async def batch(self) -> BatchOrder:
        """Return the jobs that the request asks for, checked in a thread.

        Raises `Problem` as `batch_order` says, and if its client takes no format that is made; and
        `StorageUnavailable` as `in_thread` does.
        """
        offer = self._offer()
        body = await self._body()
        order = await in_thread(partial(batch_order, body, self.limits, offer), self.threads)
        _check_accepted(offer, *order.batch.jobs)
        return order

    async def counted(self, job: Submit) -> Submit:
        """Return `job` with its pixels, if the caller may have so many of them only.

        Raises `StorageUnavailable` as `in_thread` does.
        """
        somebody, image = account(), job.image
        bill = somebody.bill if somebody else None
        if bill is None or bill.pixels is None or not isinstance(image, bytes):
            return job
        pixels = await in_thread(partial(count_pixels, image, self.images), self.threads)
        return replace(job, pixels=pixels)

    async def picture(self) -> bytes:
        """Return the image that the request brings. Raises `Problem` as `wire` says."""
        return wire.picture(await self._body(), self.limits)

    def _offer(self) -> wire.Offer:
        return wire.Offer(self.presets.recipes, accepted(request.accept_mimetypes))

    async def _body(self) -> wire.Body:
        data = await upload().read()
        content_type = request.headers.get("Content-Type", "")
        return wire.Body(content_type, data, request.args.items(multi=True))


def _check_accepted(offer: wire.Offer, *jobs: Submit) -> None:
    outputs = [output for job in jobs for output in job.recipe.outputs]
    if not offer.accepts and any(output.format == "auto" for output in outputs):
        raise Problem("not_acceptable", NONE_OF_OURS)
