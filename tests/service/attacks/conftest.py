"""What the attacks share: each module has a service of its own, which all of its attacks meet."""

import pytest

from tests.web import running


@pytest.fixture(scope="module")
def attacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A running service with the module's `SETTINGS`, which must be the same one at the end."""
    settings = getattr(request.module, "SETTINGS", {})
    with running.start_server(tmp_path_factory.mktemp("attacked"), **settings) as server:
        pid = server.process.pid
        yield server
        assert server.process.pid == pid
        assert server.process.poll() is None
