"""The HTTP API in Python: `Client` for programs that block, `AsyncClient` for those on Trio.

Both can do the same, which is written once, in `web/calls.py`. `AsyncClient` is that, on a driver
that waits in trio. `Client` runs the same coroutines on a driver that blocks, so that they end
without ever having waited.
"""

from __future__ import annotations

import time
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, Self, TypeVar

import httpx2
import trio

from web.calls import Calls
from web.line import HttpOptions, Line, http_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from web.receiving import Sink
    from web.sending import Upload

P = ParamSpec("P")
R = TypeVar("R")


class AsyncClient(Calls):
    """The service at `url`, for tasks on Trio; any number of them may use it at once.

    It owns its connections, for as long as its `async with` lasts. A service that has keys wants
    one of them as `key`. What it can do is written at `Calls`. A deadline is that of a scope around
    the call, such as `trio.fail_after`; cancelling a call ends it at once.

    Raises:
      httpx2.InvalidURL: from the constructor.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._driver = _Waiting(http_options(url, key), transport)
        super().__init__(Line(self._driver))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._driver.http.aclose()


class _Waiting:
    """See `Driver`."""

    def __init__(self, options: HttpOptions, transport: httpx2.AsyncBaseTransport | None) -> None:
        self.http: Final = httpx2.AsyncClient(**options, transport=transport)
        self.sleep: Final = trio.sleep
        self.now: Final = trio.current_time

    async def exchange(
        self, request: httpx2.Request, upload: Upload | None, sink: Sink | None
    ) -> httpx2.Response:
        """See `Driver.exchange`."""
        if upload is not None:
            request.stream = _WaitingBody(upload)
        response = await self.http.send(request, stream=True)
        try:
            if sink is None or not response.is_success:
                await response.aread()
            else:
                sink.begin(response)
                async for piece in response.aiter_bytes():
                    if sink.is_in_memory:
                        sink.write(piece)
                    else:
                        await trio.to_thread.run_sync(sink.write, piece)
        finally:
            await response.aclose()
        return response

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Driver.run`."""
        return await trio.to_thread.run_sync(lambda: work(*args, **kwargs))


class _WaitingBody(httpx2.AsyncByteStream):
    """Its own iterator, not a generator: nothing is left open when the request is cancelled."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._upload.tell()
        if self._upload.is_in_memory:
            await trio.lowlevel.checkpoint()
            piece = self._upload.read()
        else:
            piece = await trio.to_thread.run_sync(self._upload.read)
        if not piece:
            raise StopAsyncIteration
        return piece


def _finish(awaitable: Awaitable[R]) -> R:
    """Return what `awaitable` does: everything that it waits for blocks instead."""
    waiting = awaitable.__await__()
    try:
        next(waiting)
    except StopIteration as end:
        result: R = end.value
        return result
    raise AssertionError("a driver that blocks never waits")


def _blocking(
    call: Callable[Concatenate[Calls, P], Awaitable[R]],
) -> Callable[Concatenate[Client, P], R]:
    @wraps(call)
    def block(client: Client, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return _finish(call(client.calls, *args, **kwargs))

    return block


def _blocking_iterator(
    call: Callable[Concatenate[Calls, P], AsyncIterator[R]],
) -> Callable[Concatenate[Client, P], Iterator[R]]:
    @wraps(call)
    def iterate(client: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        each = call(client.calls, *args, **kwargs)
        while True:
            try:
                yield _finish(anext(each))
            except StopAsyncIteration:
                return

    return iterate


class Client:
    """The service at `url`, for programs that block; any number of threads may use it at once.

    It owns its connections, for as long as its `with` lasts. A service that has keys wants one of
    them as `key`. What its methods mean is written at `Calls`. Each waits for the network
    only so long, and all but `wait` without a `timeout` end by themselves; Ctrl-C ends any.

    Raises:
      httpx2.InvalidURL: from the constructor.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._driver = _Blocking(http_options(url, key), transport)
        self.calls: Final = Calls(Line(self._driver))

    submit = _blocking(Calls.submit)
    submit_and_wait = _blocking(Calls.submit_and_wait)
    submit_and_wait_for_all = _blocking(Calls.submit_and_wait_for_all)
    plan = _blocking(Calls.plan)
    job = _blocking(Calls.job)
    wait = _blocking(Calls.wait)
    page = _blocking(Calls.page)
    jobs = _blocking_iterator(Calls.jobs)
    cancel = _blocking(Calls.cancel)
    retry = _blocking(Calls.retry)
    delete = _blocking(Calls.delete)
    submit_batch = _blocking(Calls.submit_batch)
    batch = _blocking(Calls.batch)
    wait_for_batch = _blocking(Calls.wait_for_batch)
    cancel_batch = _blocking(Calls.cancel_batch)
    delete_batch = _blocking(Calls.delete_batch)
    download = _blocking(Calls.download)
    save = _blocking(Calls.save)
    link = _blocking(Calls.link)
    deliveries = _blocking(Calls.deliveries)
    redeliver = _blocking(Calls.redeliver)
    batch_deliveries = _blocking(Calls.batch_deliveries)
    redeliver_batch = _blocking(Calls.redeliver_batch)
    upload = _blocking(Calls.upload)
    image = _blocking(Calls.image)
    delete_image = _blocking(Calls.delete_image)
    queue = _blocking(Calls.queue)
    pause_queue = _blocking(Calls.pause_queue)
    resume_queue = _blocking(Calls.resume_queue)
    dead_jobs = _blocking_iterator(Calls.dead_jobs)
    retry_dead_jobs = _blocking(Calls.retry_dead_jobs)
    health = _blocking(Calls.health)

    def __repr__(self) -> str:
        return repr(self.calls).replace("Calls", "Client", 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.http.close()


class _Blocking:
    """See `Driver`."""

    def __init__(self, options: HttpOptions, transport: httpx2.BaseTransport | None) -> None:
        self.http: Final = httpx2.Client(**options, transport=transport)
        self.now: Final = time.monotonic

    async def exchange(
        self, request: httpx2.Request, upload: Upload | None, sink: Sink | None
    ) -> httpx2.Response:
        """See `Driver.exchange`."""
        if upload is not None:
            request.stream = _BlockingBody(upload)
        response = self.http.send(request, stream=True)
        try:
            if sink is None or not response.is_success:
                response.read()
            else:
                sink.begin(response)
                for piece in response.iter_bytes():
                    sink.write(piece)
        finally:
            response.close()
        return response

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Driver.run`."""
        return work(*args, **kwargs)

    async def sleep(self, seconds: float) -> None:
        """See `Driver.sleep`."""
        time.sleep(seconds)  # noqa: ASYNC251 - it blocks, as it says


class _BlockingBody(httpx2.SyncByteStream):
    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._upload.tell()
            piece = self._upload.read()
            if not piece:
                return
            yield piece
