"""What the tests of the edge share: the real service, and clients of both kinds."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio

from tests.conftest import PATIENCE
from tests.web import running
from tests.web.running import Server
from web.client import AsyncClient, Client
from web.results import DeadJob, Job

StartServer: TypeAlias = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running service that the tests share."""
    with running.start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def start_server(tmp_path: Path) -> StartServer:
    """What starts a service of the test's own: `with start_server(MAX_PENDING=1) as server`."""
    numbers = count(1)

    def start(**settings: object) -> AbstractContextManager[Server]:
        return running.start_server(tmp_path / f"server-{next(numbers)}", **settings)

    return start


class InThread:
    """A client that blocks, as if it waited."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __getattr__(self, name: str):
        method = getattr(self._client, name)

        async def call(*args, **kwargs):
            return await trio.to_thread.run_sync(partial(method, *args, **kwargs))

        return call

    def jobs(self, **which: object) -> AsyncIterator[Job]:
        return self._iterate("jobs", **which)

    def dead_jobs(self, **which: object) -> AsyncIterator[DeadJob]:
        return self._iterate("dead_jobs", **which)

    async def _iterate(self, name: str, **which: object) -> AsyncIterator[Any]:
        method = getattr(self._client, name)
        for each in await trio.to_thread.run_sync(lambda: list(method(**which))):
            yield each


@pytest.fixture(params=["blocking", "waiting"])
async def connect(request: pytest.FixtureRequest):
    """What makes a client of either kind: `connect(url, key=…)`."""
    with trio.fail_after(3 * PATIENCE):
        async with AsyncExitStack() as stack:

            def connect(url: str, key: str | None = None):
                if request.param == "blocking":
                    return InThread(stack.enter_context(Client(url, key=key)))
                client = AsyncClient(url, key=key)
                stack.push_async_exit(client)
                return client

            yield connect
