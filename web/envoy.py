"""What a route asks the actors, asked in the name of whoever has sent the request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar, cast

import trio

from actors.errors import Draining
from actors.messages import OfTenant, OnAccount, Settle
from actors.storage.repeats import DoneBefore
from web.gate import account, caller
from web.repeats import is_repeatable, note_replay, once

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.mailbox import Address, Request
    from web.gate import Caller

R = TypeVar("R")


def _nothing() -> None:
    pass


class Envoy:
    """Asks the Dispatcher. No route can forget whose jobs it asks for, since none has to say so.

    Nor can it forget whom they are counted for, nor do twice what is to be done once: that is
    answered as if it were the first time.

    `patience` is how many seconds an answer may take. `sender` is in whose name it asks, by
    default in that of whoever has sent the present request.
    """

    def __init__(
        self, dispatcher: Address, patience: float, sender: Callable[[], Caller] = caller
    ) -> None:
        self._dispatcher = dispatcher
        self._patience = patience
        self._sender = sender

    def of(self, sender: Caller) -> Envoy:
        """Return one that asks in the name of `sender`, also when there is no request any more."""
        return Envoy(self._dispatcher, self._patience, lambda: sender)

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
            who = self._sender()
            message = replace(message, tenant=who.tenant, key_id=who.key_id, once=await once())
        if isinstance(message, OnAccount) and (counted := account()):
            message = replace(message, bill=counted.bill)
        try:
            return await self._dispatcher.ask(message, concluded)
        except DoneBefore as error:
            note_replay()
            return cast("R", error.args[0])

    async def watch(self, end: Request[R], present: Request[R], seconds: float) -> R:
        """Return the answer to `end`; or, after so many seconds or when we must stop, to `present`.

        Raises as `ask`.
        """
        if seconds:
            with trio.move_on_after(seconds):
                try:
                    return await self.wait(end)
                except Draining:
                    pass
        return await self.ask(present)

    async def settle(self, text: str = "") -> str:
        """Return `text`; or, if the request was sent before, the text of that time.

        For routes that change nothing, once it is sure that they can answer. Raises as `ask`.
        """
        return await self.ask(Settle(text)) if is_repeatable() else text
