"""The command `calotype load`, and what it measures with."""

import json
import signal
import subprocess
import time
from collections import deque
from functools import partial

import h11
import pytest
import trio
from click.testing import CliRunner, Result

from tests.conftest import PATIENCE
from tests.web.running import COMMAND, Server, environment, free_port
from web.commands import load as load_module
from web.commands.crowd import Crowd, Plan, Target
from web.commands.figures import Samples, percentile
from web.commands.lean import BROKEN, LeanConnection
from web.commands.load import is_loopback, load

THUMBNAIL = "operation=thumbnail&width=32&height=32"
REFUSAL = b"HTTP/1.1 503 \r\nRetry-After: %d\r\nContent-Length: 0\r\n\r\n"
HANG_UP, SILENCE = b"", b"..."
FINE = b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(load, [str(each) for each in arguments], catch_exceptions=False)


@pytest.mark.parametrize(("mode", "requests"), [("poll", 3), ("wait", 1), ("submit", 1)])
def test_it_tells_what_it_measured(server, mode, requests):
    result = run(
        server.url, "--mode", mode, "--requests", 12, "--clients", 3, "--size", "64x48", "--json"
    )

    told = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (0, "")
    assert (told["jobs"], told["refused"], told["errors"]) == (12, 0, {})
    assert told["requests"] == 12 * requests
    assert told["bytes_sent"] > 12 * 500
    latency = told["latency_ms"]
    assert latency["job"]["count"] == latency["submit"]["count"] == 12
    assert 0 < latency["job"]["p50"] <= latency["job"]["p99"] <= latency["job"]["max"]


def test_photos_can_be_given_and_people_get_tables(server, tmp_path, photo):
    source = tmp_path / "photo.jpg"
    source.write_bytes(photo)

    result = run(server.url, "--requests", 3, "--photo", source, "--mode", "wait")

    assert result.exit_code == 0
    assert "jobs per second" in result.stdout
    assert f"{3 * len(photo):,}" in result.stdout


def test_an_error_is_counted_by_its_code_and_ends_with_1(server, tmp_path):
    source = tmp_path / "letter.jpg"
    source.write_text("Dear photographer")

    result = run(server.url, "--requests", 4, "--photo", source, "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["errors"] == {"not_an_image": 4}


def test_seconds_bound_a_run(server):
    result = run(server.url, "--seconds", 0.3, "--size", "64x48", "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert told["jobs"] > 0
    assert told["seconds"] < PATIENCE


def test_a_plot_is_a_png(server, tmp_path):
    picture = tmp_path / "latency.png"

    result = run(server.url, "--requests", 3, "--size", "64x48", "--plot", picture)

    assert result.exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_without_the_extra_a_plot_is_refused_before_the_load(monkeypatch):
    monkeypatch.setattr(load_module, "find_spec", lambda _: None)

    result = run("http://127.0.0.1:1", "--plot", "latency.png")

    assert result.exit_code == 2
    assert "pip install 'calotype[plot]'" in result.stderr


@pytest.mark.parametrize(
    "host", ["example.com", "10.0.0.1", "localhost.example.com", "127.1", "[2001:db8::1]"]
)
def test_other_machines_are_left_alone(host):
    result = run(f"http://{host}:8080")

    assert result.exit_code == 2
    assert "--allow-remote" in result.stderr


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_has_several_names(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("http://127.0.0.1:port",),
        ("http://127.0.0.1", "--size", "0x4"),
        ("http://127.0.0.1", "--size", "99999x99999"),
        ("http://127.0.0.1", "--plot", "no/such/directory/latency.png"),
        ("http://127.0.0.1", "--seconds", "nan"),
        ("http://127.0.0.1", "--seconds", "inf"),
        ("http://127.0.0.1", "--seconds", "-1"),
        ("http://127.0.0.1", "--seconds", "0"),
    ],
)
def test_a_wrong_use_is_said_to_be_one(arguments):
    assert run(*arguments).exit_code == 2


def test_where_no_calotype_answers_there_is_no_load():
    url = f"http://127.0.0.1:{free_port()}"

    result = run(url)

    assert result.exit_code == 1
    assert result.stderr == f"calotype: No Calotype answers at {url}. Is it running?\n"


def count_outputs(server: Server) -> int:
    return sum(1 for _ in (server.dir / "outputs").rglob("*.jpg"))


def test_ctrl_c_ends_it_with_the_figures_so_far(server):
    before = count_outputs(server)
    process = subprocess.Popen(
        [*COMMAND, "load", server.url, "--seconds", "60", "--size", "64x48", "--json"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    # More than are under way at once, so that some are done.
    while count_outputs(server) < before + 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (130, "")
    assert json.loads(output)["jobs"] >= 1


class Scripted:
    """A server that gives these answers to whatever comes. At `HANG_UP`, and after the last, it
    hangs up; at `SILENCE` it does nothing more. `connections` counts how often it was called.
    """

    def __init__(self, nursery: trio.Nursery, *answers: bytes) -> None:
        self.connections = 0
        self._nursery = nursery
        self._answers = deque(answers)

    async def start(self) -> int:
        """Listen, and return the port."""
        listening = partial(trio.serve_tcp, self._serve, 0, host="127.0.0.1")
        listeners = await self._nursery.start(listening)
        port: int = listeners[0].socket.getsockname()[1]
        return port

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        while self._answers and await self._take_request(stream):
            answer = self._answers.popleft()
            if answer == HANG_UP:
                return
            if answer == SILENCE:
                await trio.sleep_forever()
            await stream.send_all(answer)

    async def _take_request(self, stream: trio.SocketStream) -> bool:
        protocol = h11.Connection(h11.SERVER)
        while not isinstance(event := protocol.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.ConnectionClosed):
                return False
            if event is h11.NEED_DATA:
                protocol.receive_data(await stream.receive_some(65_536))
        return True


def crowd(port: int, *, requests: int = 10, seconds: float = PATIENCE) -> Crowd:
    """One client that only submits."""
    target = Target("127.0.0.1", port, tls=False, path="", query=THUMBNAIL)
    return Crowd(target, Plan("submit", 1, requests, seconds), [b"photo"])


async def test_a_refusal_is_no_error(nursery):
    port = await Scripted(nursery, REFUSAL % 0, FINE, REFUSAL % 0, FINE).start()
    four = crowd(port, requests=4)

    await four.run()

    assert (four.figures.jobs, four.figures.refused) == (2, 2)
    assert not four.figures.errors
    assert four.figures.in_flight == 0


async def test_a_long_refusal_does_not_outlast_the_run(nursery):
    port = await Scripted(nursery, REFUSAL % 3_600).start()
    brief = crowd(port, seconds=0.1)

    with trio.fail_after(PATIENCE):
        await brief.run()

    assert (brief.figures.begun, brief.figures.refused) == (1, 1)


async def test_a_broken_connection_is_an_error_and_the_next_job_opens_another(nursery):
    server = Scripted(nursery, FINE, HANG_UP, FINE)
    three = crowd(await server.start(), requests=3)

    await three.run()

    assert three.figures.jobs == 2
    assert three.figures.errors == {"connection_broken": 1}
    assert server.connections == 2


async def test_what_a_silent_server_leaves_undone_is_counted(nursery, monkeypatch):
    monkeypatch.setattr("web.commands.crowd.GRACE", 0.1)
    port = await Scripted(nursery, FINE, SILENCE).start()
    patient = crowd(port, seconds=0.1)

    with trio.fail_after(PATIENCE):
        await patient.run()

    assert patient.figures.errors == {"unfinished": 1}
    assert patient.figures.in_flight == 0


async def test_a_lean_connection_is_kept(nursery):
    server = Scripted(nursery, FINE, FINE)
    connection = LeanConnection("127.0.0.1", await server.start())

    first = await connection.request("GET", "/")
    second = await connection.request("POST", "/", [(b"x-header", b"1")], b"body")
    await connection.aclose()

    assert (first.status, first.body, first.header(b"content-length")) == (200, b"ok", b"2")
    assert second == first
    assert server.connections == 1


async def test_an_answer_before_the_body_is_heard(nursery):
    port = await Scripted(nursery, REFUSAL % 1).start()
    connection = LeanConnection("127.0.0.1", port)

    with trio.fail_after(PATIENCE):
        answer = await connection.request("POST", "/", body=b"b")
    await connection.aclose()

    assert answer.status == 503


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nok", b"HTTP/1.1 2", b"nonsense\r\n\r\n"],
)
async def test_half_an_answer_is_none(nursery, answer):
    port = await Scripted(nursery, answer).start()
    connection = LeanConnection("127.0.0.1", port)

    with trio.fail_after(PATIENCE), pytest.raises(BROKEN):
        await connection.request("GET", "/")
    await connection.aclose()


def test_percentiles_are_exact():
    values = [float(each) for each in range(1, 1_001)]

    assert [percentile(values, share) for share in (50, 99, 99.9, 100)] == [500, 990, 999, 1_000]
    assert percentile([7.0], 1) == 7
    assert percentile([], 50) == 0


def test_of_many_samples_a_fair_selection_is_kept():
    samples = Samples(capacity=1_000)

    for each in range(20_000):
        samples.add(each, each / 1_000)

    summary = samples.summary()
    assert len(samples.durations) == len(samples.moments) == 1_000
    assert (summary["count"], summary["max"]) == (20_000, 19_999)
    assert summary["mean"] == pytest.approx(10_000, rel=0.01)
    assert summary["p50"] == pytest.approx(10_000, rel=0.1)
