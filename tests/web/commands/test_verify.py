"""The command `calotype verify`, on the storage of a service that runs."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.web.raw import ask
from tests.web.running import COMMAND, PATIENCE, Server

pytestmark = pytest.mark.service

PHOTO = Path(__file__).parents[3] / "examples" / "photo.jpg"


def submit(server: Server) -> dict[str, object]:
    """Have a thumbnail made, and return its job."""
    answer = ask(
        server.port,
        "POST /jobs?operation=thumbnail&width=16&height=16",
        "Content-Type: image/jpeg",
        "Prefer: wait=30",
        body=PHOTO.read_bytes(),
    )
    job: dict[str, object] = json.loads(answer.body)
    return job


def verify(server: Server, job_id: object) -> tuple[int, str, str]:
    """Run the command as the operator of this service would."""
    ended = subprocess.run(
        [*COMMAND, "verify", str(job_id)],
        capture_output=True, text=True, check=False, cwd=server.dir, env=server.environment,
        timeout=PATIENCE,
    )  # fmt: skip
    return ended.returncode, ended.stdout, ended.stderr


def test_a_job_comes_out_the_same(server):
    job = submit(server)

    assert verify(server, job["id"]) == (0, "output: the same\n", "")


def test_a_file_that_was_changed_is_told(server):
    job = submit(server)
    (server.dir / str(job["output_path"])).write_bytes(b"something else")

    code, told, _ = verify(server, job["id"])

    assert code == 1
    assert told == "output: the same; the file that is kept is NOT what was made\n"


def test_a_job_that_there_is_not_cannot_be_verified(server):
    assert verify(server, "nowhere") == (2, "", "calotype: there is no job nowhere\n")
