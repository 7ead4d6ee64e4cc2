"""A service whose system fails."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.service.faults.injecting import FaultyServer, compile_injector

StartFaulty: TypeAlias = Callable[..., AbstractContextManager[FaultyServer]]


@pytest.fixture(scope="session")
def injector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes calls of the system fail."""
    return compile_injector(tmp_path_factory.mktemp("injector"))


@pytest.fixture
def start_faulty(injector: Path, tmp_path: Path) -> StartFaulty:
    """What starts a service of the test's own, under which the system fails as it wants."""
    numbers = count(1)

    @contextmanager
    def start(**settings: object) -> Iterator[FaultyServer]:
        server = FaultyServer(injector, tmp_path / f"faulty-{next(numbers)}", **settings)
        try:
            server.start_anew()
            yield server
            if server.process.poll() is None:
                server.stop()
        finally:
            server.kill()

    return start
