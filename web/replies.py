"""The shapes that most answers have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart_trio.wrappers import TrioResponse as Response

if TYPE_CHECKING:
    from collections.abc import Mapping


def json_reply(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with JSON, and these headers besides."""
    return Response(body, status, {"Content-Type": "application/json", **(headers or {})})


def no_content() -> Response:
    """Answer that it is done, and that there is nothing to say."""
    response = Response(None, 204)
    response.headers.remove("Content-Type")
    return response
