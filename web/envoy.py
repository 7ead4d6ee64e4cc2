"""What a route asks the actors, asked in the name of whoever has sent the request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from actors.messages import OfTenant
from web.gate import caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.mailbox import Address, Request

R = TypeVar("R")


def _nothing() -> None:
    pass


class Envoy:
    """Asks the Dispatcher. No route can forget whose jobs it asks for, since none has to say so."""

    def __init__(self, dispatcher: Address) -> None:
        self._dispatcher = dispatcher

    async def ask(self, message: Request[R], concluded: Callable[[], None] = _nothing) -> R:
        """Ask as `Address.ask` does, for the tenant of the caller."""
        if isinstance(message, OfTenant):
            message = replace(message, tenant=caller().tenant)
        return await self._dispatcher.ask(message, concluded)
