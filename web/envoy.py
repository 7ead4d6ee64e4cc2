"""What a route asks the actors, asked in the name of whoever has sent the request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import trio

from actors.messages import OfTenant, OnAccount
from web.gate import account, caller

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.mailbox import Address, Request

R = TypeVar("R")


def _nothing() -> None:
    pass


class Envoy:
    """Asks the Dispatcher. No route can forget whose jobs it asks for, since none has to say so.

    Nor can it forget whom they are counted for.

    `patience` is how many seconds an answer may take.
    """

    def __init__(self, dispatcher: Address, patience: float) -> None:
        self._dispatcher = dispatcher
        self._patience = patience

    async def ask(self, message: Request[R], concluded: Callable[[], None] = _nothing) -> R:
        """Ask as `Address.ask` does, for the tenant of the caller.

        Raises:
          trio.TooSlowError: if there is no answer in time.
        """
        with trio.fail_after(self._patience):
            return await self.wait(message, concluded)

    async def wait(self, message: Request[R], concluded: Callable[[], None] = _nothing) -> R:
        """Ask as `ask` does, for as long as it takes."""
        if isinstance(message, OfTenant):
            message = replace(message, tenant=caller().tenant)
        if isinstance(message, OnAccount) and (counted := account()):
            message = replace(message, bill=counted.bill)
        return await self._dispatcher.ask(message, concluded)
