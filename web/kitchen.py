"""What a request says of pictures, read from the connection and put into a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quart import request

from web import wire
from web.uploads import upload

if TYPE_CHECKING:
    from actors.imaging.facts import Format
    from web.presets import Presets

# What every client can show; and what it must say that it can, and likes no less than those.
SHOWN: tuple[Format, ...] = ("jpeg", "png", "gif")
SAID: tuple[Format, ...] = ("avif", "webp")


@dataclass(frozen=True, slots=True)
class Kitchen:
    """Reads requests under `limits`, with the operator's `presets`."""

    limits: wire.WireLimits
    presets: Presets

    async def order(self) -> wire.Order:
        """Return what the request asks for. Raises `Problem` as `wire` says."""
        return wire.order(await self._body(), self.limits, self._offer())

    async def picture(self) -> bytes:
        """Return the image that the request brings. Raises `Problem` as `wire` says."""
        return wire.picture(await self._body(), self.limits)

    async def _body(self) -> wire.Body:
        data = await upload().read()
        content_type = request.headers.get("Content-Type", "")
        return wire.Body(content_type, data, request.args.items(multi=True))

    def _offer(self) -> wire.Offer:
        said = {kind.lower(): quality for kind, quality in request.accept_mimetypes}
        liked = {kind: said.get(f"image/{kind}", 0) for kind in (*SAID, *SHOWN)}
        most = max(liked.values())
        accepts = tuple(kind for kind in SAID if 0 < liked[kind] == most)
        return wire.Offer(self.presets.recipes, (*accepts, *SHOWN))
