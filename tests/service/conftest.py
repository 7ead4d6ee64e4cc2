"""What the tests of the whole service share: real processes, real ports, real photographs."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.service import photographs
from tests.service.asking import open_api
from tests.service.photographs import Photograph
from tests.web import running
from tests.web.running import Server

StartServer: TypeAlias = Callable[..., AbstractContextManager[Server]]


@pytest.fixture(scope="session")
def album() -> dict[str, Photograph]:
    """The photographs by the names of their files."""
    return {name: photographs.load(name) for name in photographs.NAMES}


@pytest.fixture(scope="session")
def rocket(album: dict[str, Photograph]) -> bytes:
    """A photograph that takes a few milliseconds."""
    return album["rocket.jpg"].data


@pytest.fixture(scope="session")
def hubble(album: dict[str, Photograph]) -> bytes:
    """A photograph that is used where it shall take long."""
    return album["hubble_deep_field.jpg"].data


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running service that tests share which need no settings of their own."""
    with running.start_server(tmp_path_factory.mktemp("service")) as server:
        yield server


@pytest.fixture
async def api(server: Server):
    """A client of the shared service."""
    async with open_api(server) as api:
        yield api


@pytest.fixture
def start_server(tmp_path: Path) -> StartServer:
    """What starts a service of the test's own: `with start_server(MAX_PENDING=1) as server`.

    It must end well after the test, unless the test has ended it already.
    """
    numbers = count(1)

    def start(**settings: object) -> AbstractContextManager[Server]:
        return running.start_server(tmp_path / f"server-{next(numbers)}", **settings)

    return start
