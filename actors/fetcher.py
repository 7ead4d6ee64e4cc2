"""The Fetcher: brings in images that clients have named by their address."""

from __future__ import annotations

import io
import itertools
import math
import random
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog
import trio

from actors import metrics, tracing
from actors.messages import Download
from actors.outside.allowance import Allowance
from actors.outside.backoff import Backoff
from actors.outside.breaker import Breakers, HostBusy, Rules
from actors.outside.client import Outside, Patience
from actors.outside.errors import (
    OutsideError,
    SourceForbidden,
    SourceTooLarge,
    SourceUnreachable,
)
from actors.outside.holds import Holds
from actors.outside.targets import parse_target

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager

    from actors.mailbox import Envelope, Mailbox
    from actors.orders import Orders
    from actors.outside.targets import Target
    from actors.supervision import Activity

log = structlog.get_logger("calotype.fetcher")

BACKOFF: Final = Backoff(first=0.5, longest=5.0, attempts=3)
HOST_SHARE: Final = 2  # a host that is silent has one in so many of the Workers that may fetch
# Which kind of failure it is for the metrics; the first that fits counts.
OUTCOMES: Final[tuple[tuple[type[OutsideError], str], ...]] = (
    (SourceForbidden, "forbidden"),
    (SourceTooLarge, "too_large"),
    (HostBusy, "busy"),
    (OutsideError, "unreachable"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """What may be fetched, and how much of it at once.

    `max_bytes`: of one image. `timeout`: seconds for one, with all that is tried again but without
    the wait for a place. `places`: images at the same moment; `rules` bound them for each host.
    """

    max_bytes: int
    timeout: float = 30.0
    places: int = 8
    max_redirects: int = 5
    allowance: Allowance = field(default_factory=Allowance)
    rules: Rules = field(default_factory=Rules)


class Fetcher:
    """Owns all connections that fetch images, and what is known of the hosts of these.

    Each message is a task of its own, as many as there are askers: each waits for its answer. An
    image is held in memory while it comes in, so `places` and `max_bytes` bound that.
    A host that is silent holds no more than half of the Workers that may wait for it, of which
    there are `workers`, by default half of the pool; whoever comes beyond that is sent away.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        limits: Fetching,
        places: trio.CapacityLimiter,
        orders: Orders,
        activity: Activity,
        backoff: Backoff = BACKOFF,
        *,
        workers: int | None = None,
    ) -> None:
        self._mailbox = mailbox
        self._limits = limits
        self._places = places
        self._orders = orders
        self._activity = activity
        self._backoff = backoff
        self._workers = workers
        self._breakers = Breakers(limits.rules)
        self._holds = Holds()
        self._one_ended = trio.Event()
        patience = Patience()
        self._outside = Outside(
            limits.allowance,
            Patience(
                connect=min(patience.connect, limits.timeout),
                silence=min(patience.silence, limits.timeout),
                total=limits.timeout,
            ),
            max_redirects=limits.max_redirects,
        )

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work until the mailbox ends, then finish what is in hand.

        When the service is draining it leaves at once: a stop waits for no source, and the jobs
        are begun again at the next start.
        """
        async with trio.open_nursery() as background:
            background.start_soon(self._leave_when_draining, background.cancel_scope)
            async with trio.open_nursery() as work:
                task_status.started()
                self._activity.doing = "serving"
                async for envelope in self._mailbox:
                    self._activity.handled += 1
                    work.start_soon(self._handle, envelope)
                self._activity.doing = "finishing"
            background.cancel_scope.cancel()

    async def _leave_when_draining(self, scope: trio.CancelScope) -> None:
        await self._orders.draining.wait()
        scope.cancel()

    async def _handle(self, envelope: Envelope) -> None:
        with envelope, tracing.span("fetch") as span, envelope.while_wanted():
            match envelope.message:
                case Download(url, job_id):
                    begun, outcome = trio.current_time(), "abandoned"
                    try:
                        data = await self._download(url)
                    except OutsideError as error:
                        outcome = next(each for kind, each in OUTCOMES if isinstance(error, kind))
                        log.info("fetch_failed", job_id=job_id, outcome=outcome, why=str(error))
                        # Its frames hold what had come in.
                        envelope.fail(error.with_traceback(None))
                    else:
                        outcome = "fetched"
                        metrics.FETCHED.inc(len(data))
                        span.note("calotype.bytes", len(data))
                        log.info("image_fetched", job_id=job_id, size=len(data))
                        envelope.answer(data)
                    finally:
                        metrics.FETCHES.labels(outcome).inc()
                        span.note("calotype.outcome", outcome)
                        metrics.FETCH.observe(trio.current_time() - begun)
                case other:
                    raise TypeError(other)

    async def _download(self, url: str) -> bytes:
        """Return what is at `url`; what can pass is tried again while there is time.

        Raises:
          OutsideError: if it cannot be had.
        """
        target = parse_target(url, self._limits.allowance)
        with await self._hold(target.host):
            return await self._fetch(target)

    async def _fetch(self, target: Target) -> bytes:
        left, end = self._limits.timeout, 0.0
        for made in itertools.count(1):
            try:
                async with self._place(target.host):
                    end = trio.current_time() + left
                    # Within the place, so that the breaker hears of it.
                    with self._by(end):
                        return await self._read(target)
            except SourceUnreachable as error:
                left = end - trio.current_time()
                delay = self._delay(made, error)
                if delay is None or delay >= left:
                    raise
            left -= delay
            await trio.sleep(delay)
        raise AssertionError("the loop above has no end")

    def _delay(self, made: int, error: SourceUnreachable) -> float | None:
        asked = error.retry_after or 0.0
        if not error.may_pass or asked > self._backoff.longest:
            return None  # Its job can wait for longer, and does not keep a Worker meanwhile.
        return self._backoff.delay(made, random.random, at_least=asked)

    @asynccontextmanager
    async def _place(self, host: str) -> AsyncIterator[None]:
        """Hold a place for a call to `host`, waiting until there is one.

        First one of the host's own, so that a host which hangs has no more places than these.

        Raises:
          HostResting: if it has failed too often.
          HostBusy: if it is silent, and others have as many Workers as it may hold.
        """
        try:
            with await self._call(host):
                async with self._places:
                    yield
        finally:
            self._note_an_end()

    def _note_an_end(self) -> None:
        self._one_ended.set()
        self._one_ended = trio.Event()

    @property
    def _share(self) -> int:
        return max(1, self._orders.fetching(self._workers) // HOST_SHARE)

    async def _hold(self, host: str) -> ExitStack:
        """Wait until `host` may hold one more Worker, and return what ends that, to be entered."""
        hold = await self._entered(
            lambda: self._holds.hold(host, self._share), lambda: self._holds.patience(host)
        )
        with ExitStack() as stack:
            stack.callback(self._note_an_end)
            stack.push(hold)
            return stack.pop_all()

    async def _call(self, host: str) -> ExitStack:
        """Wait until `host` may be called, and return what ends the call, also to be entered."""

        def patience() -> float:
            within_share = self._holds.held(host) <= self._share
            return math.inf if within_share else self._holds.patience(host)

        return await self._entered(lambda: self._breakers.call(host), patience)

    async def _entered(
        self,
        make: Callable[[], AbstractContextManager[None]],
        patience: Callable[[], float],
    ) -> ExitStack:
        """Wait until a host is not too busy for this, and return it, entered.

        Raises:
          HostBusy: if there is no patience left.
        """
        while True:
            with ExitStack() as stack:
                try:
                    stack.enter_context(make())
                except HostBusy:
                    left = patience()
                    if left <= 0:
                        raise
                else:
                    return stack.pop_all()
            with trio.move_on_after(left):
                await self._one_ended.wait()

    @contextmanager
    def _by(self, end: float) -> Iterator[None]:
        with trio.CancelScope(deadline=end) as scope:
            yield
        if scope.cancelled_caught:
            raise SourceUnreachable(f"It took longer than {self._limits.timeout:g} seconds.")

    async def _read(self, target: Target) -> bytes:
        # It gives its bytes away without a copy.
        data = io.BytesIO()
        async with self._outside.get(target, self._limits.max_bytes) as pieces:
            async for piece in pieces:
                data.write(piece)
        return data.getvalue()
