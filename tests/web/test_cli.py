"""The command `calotype serve`, as whoever starts it meets it."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import is_picture
from tests.web.running import COMMAND, PATIENCE, Server, environment
from web.cli import main
from web.serve import _announce
from web.settings import Settings

pytestmark = pytest.mark.service


def serve(directory: Path, *python: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run it where it cannot start."""
    return subprocess.run(
        [*COMMAND[:1], *(python or COMMAND[1:]), "serve"],
        cwd=directory,
        env=environment(LOG_LEVEL="error", **settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        ended = serve(tmp_path, PORT=port)

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"calotype: cannot listen on 127.0.0.1:{port}: ")
    assert ended.stderr.count("\n") == 1


def test_a_storage_that_does_not_open_is_said_in_one_line(tmp_path):
    (tmp_path / "jobs.db").write_text("This is no catalogue. " * 100)

    ended = serve(tmp_path, PORT=0, DB_PATH="jobs.db")

    assert ended.returncode == 1
    assert ended.stderr.startswith("calotype: the storage cannot be opened: ")
    assert ended.stderr.count("\n") == 1


def test_it_does_not_listen_beyond_loopback_for_anybody_by_mistake(tmp_path):
    ended = serve(tmp_path, PORT=0, HOST="0.0.0.0")  # noqa: S104 - nothing listens

    assert ended.returncode == 1
    assert ended.stderr.startswith("calotype: nobody would be kept out: HOST=0.0.0.0 ")
    assert "calotype keys create" in ended.stderr
    assert "ALLOW_ANONYMOUS=1" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_catalogue_without_keys_makes_no_difference_to_that(tmp_path):
    server = Server(tmp_path / "server")
    try:
        server.start()
        server.stop()
    finally:
        server.kill()

    ended = serve(
        server.dir,
        PORT=0,
        HOST="0.0.0.0",  # noqa: S104 - nothing listens
        DB_PATH=server.dir / "data" / "jobs.db",
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("calotype: nobody would be kept out: ")
    assert ended.stderr.count("\n") == 1


TWO_FAULTS = """
import web.serve
from actors.storage.ports import StorageUnavailable
from web.cli import main

async def fail(settings):
    raise ExceptionGroup("", [StorageUnavailable("no disk"), OSError("no port")])

web.serve.serve = fail
main()
"""


def test_two_reasons_not_to_start_are_two_lines(tmp_path):
    ended = serve(tmp_path, "-c", TWO_FAULTS)

    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        "calotype: the storage cannot be opened: no disk",
        "calotype: cannot listen on 127.0.0.1:8080: no port",
    ]


def test_a_greeting_that_cannot_be_written_stops_nothing(tmp_path):
    server = Server(tmp_path)
    try:
        with Path("/dev/full").open("wb") as full:
            server.start(stdout=full)
        server.stop()
    finally:
        server.kill()


def test_the_greeting_has_a_command_that_can_be_pasted_anywhere(server, tmp_path):
    _, _, command = server.log.read_text().partition("Try it:\n")
    command = "".join(line for line in command.splitlines(keepends=True) if line.startswith("  "))

    subprocess.run(["sh", "-eu", "-c", command], cwd=tmp_path, timeout=PATIENCE, check=True)

    assert is_picture((tmp_path / "thumbnail.jpg").read_bytes(), (300, 200))


def test_without_the_photo_of_the_checkout_the_greeting_leaves_a_gap(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("web.serve.PHOTO", tmp_path / "photo.jpg")

    _announce(Settings(), 8080)

    assert "-F image=@YOUR.jpg " in capsys.readouterr().out


def test_every_command_is_listed_and_there():
    listed = CliRunner().invoke(main, ["--help"])

    for name in ("keys", "load", "serve", "settings", "submit", "verify"):
        assert f"\n  {name} " in listed.stdout
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0
    assert CliRunner().invoke(main, ["melt"]).exit_code == 2


def test_a_client_needs_no_storage_and_no_server():
    program = """
import sys
from web.cli import main

try:
    main(["submit", "--help"])
finally:
    print(*{"sqlite_utils", "quart", "hypercorn"} & set(sys.modules), file=sys.stderr)
"""

    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stderr == "\n"
