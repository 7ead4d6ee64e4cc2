"""What a request says of pictures, read from the connection and put into a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quart import request

from web import wire
from web.accept import accepted
from web.problems import Problem
from web.uploads import upload

if TYPE_CHECKING:
    from web.presets import Presets

NONE_OF_OURS = "The Accept allows none of AVIF, WebP, JPEG, PNG and GIF, from which auto chooses."


@dataclass(frozen=True, slots=True)
class Kitchen:
    """Reads requests under `limits`, with the operator's `presets`."""

    limits: wire.WireLimits
    presets: Presets

    async def order(self) -> wire.Order:
        """Return what the request asks for.

        Raises `Problem` as `wire` says, and if its client takes no format that is made for it.
        """
        accepts = accepted(request.accept_mimetypes)
        offer = wire.Offer(self.presets.recipes, accepts)
        order = wire.order(await self._body(), self.limits, offer)
        if not accepts and any(output.format == "auto" for output in order.job.recipe.outputs):
            raise Problem("not_acceptable", NONE_OF_OURS)
        return order

    async def picture(self) -> bytes:
        """Return the image that the request brings. Raises `Problem` as `wire` says."""
        return wire.picture(await self._body(), self.limits)

    async def _body(self) -> wire.Body:
        data = await upload().read()
        content_type = request.headers.get("Content-Type", "")
        return wire.Body(content_type, data, request.args.items(multi=True))
