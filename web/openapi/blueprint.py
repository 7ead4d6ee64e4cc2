"""GET /openapi.json and GET /docs: made once, at the start."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
from quart import Blueprint, request
from quart_trio.wrappers import TrioResponse as Response

from web.openapi.document import document
from web.openapi.page import POLICY, page
from web.openapi.words import JSON

if TYPE_CHECKING:
    from collections.abc import Mapping


def openapi_blueprint() -> Blueprint:
    """GET /openapi.json and GET /docs.

    Raises:
      LookupError: if a route is not described.
    """
    blueprint = Blueprint("openapi", __name__)
    described = document()
    text = msgspec.json.encode(described)

    @blueprint.get("/openapi.json")
    async def openapi() -> Response:
        return _unless_known(text, {"Content-Type": JSON})

    html = page(described)

    @blueprint.get("/docs")
    async def docs() -> Response:
        return _unless_known(
            html,
            {
                "Content-Type": "text/html; charset=utf-8",
                "Content-Security-Policy": POLICY,
            },
        )

    return blueprint


def _unless_known(body: bytes, headers: Mapping[str, str]) -> Response:
    """Answer with `body`, or with 304 to whoever has it."""
    tag = hashlib.sha256(body).hexdigest()
    # A browser keeps what a 304 says in the place of what it has, so that says the same.
    told = {"ETag": f'"{tag}"', "Cache-Control": "no-cache", **headers}
    if request.if_none_match.contains_weak(tag):
        response = Response(None, 304, told)
        del response.headers["Content-Type"], response.headers["Content-Length"]
        return response
    return Response(body, 200, told)
