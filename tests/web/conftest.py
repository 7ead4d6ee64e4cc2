"""What the tests of the edge share: the real service."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.web import running
from tests.web.running import Server

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
