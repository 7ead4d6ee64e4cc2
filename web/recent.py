"""Answers that may be a moment old, for questions that every request asks."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class _Answer(Generic[V]):
    """An answer, or one that is being waited for: `value` is there when `ended` is set."""

    __slots__ = ("asked_at", "ended", "value")

    def __init__(self) -> None:
        self.asked_at = trio.current_time()
        self.ended = trio.Event()
        self.value: list[V] = []


class Recent(Generic[K, V]):
    """Asks anew when the last answer is older than `age` seconds, once for all who want to know.

    The age counts from the asking, so that nobody hears for longer of what is no more. Of the
    answers, the `size` that were wanted last are kept.
    """

    def __init__(self, ask: Callable[[K], Awaitable[V]], *, age: float, size: int) -> None:
        self._ask = ask
        self._age = age
        self._size = size
        self._answers: OrderedDict[K, _Answer[V]] = OrderedDict()

    async def get(self, key: K) -> V:
        """Return the answer for `key`. Whatever the asking raises is for the one who asks."""
        while True:
            answer = self._answers.get(key)
            if answer is None or self._is_old(answer):
                return await self._ask_anew(key)
            self._answers.move_to_end(key)
            await answer.ended.wait()
            if answer.value:
                return answer.value[0]
            # Who asked has failed or gone.

    def _is_old(self, answer: _Answer[V]) -> bool:
        # One that is still awaited is not: who waits takes it, or many would ask a slow Store.
        return answer.ended.is_set() and trio.current_time() - answer.asked_at >= self._age

    async def _ask_anew(self, key: K) -> V:
        answer = self._answers[key] = _Answer[V]()
        self._answers.move_to_end(key)
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)
        try:
            answer.value = [await self._ask(key)]
            return answer.value[0]
        finally:
            if not answer.value and self._answers.get(key) is answer:
                del self._answers[key]
            answer.ended.set()
