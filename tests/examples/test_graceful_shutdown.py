"""The example stops as docs/shutdown.md says: from the top down, and with nothing lost."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.web.running import environment

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, str(ROOT / "examples" / "graceful_shutdown.py")]
PATIENCE = 30


def run(*options: str) -> tuple[int, list[str]]:
    ran = subprocess.run(
        [*COMMAND, *options],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert not ran.stderr
    return ran.returncode, ran.stdout.splitlines()


def who(lines: list[str], what: str) -> list[str]:
    """Return, in order, who does what."""
    found = (re.fullmatch(rf" *[\d.]+ s  (\S+) +{what}.*", line) for line in lines)
    return [each[1] for each in found if each]


def place(lines: list[str], *words: str) -> int:
    """Return the number of the one line that has these words."""
    (number,) = [n for n, line in enumerate(lines) if all(word in line for word in words)]
    return number


def assert_ended_well(lines: list[str]) -> None:
    leavers = who(lines, "has read all its mail")
    assert [re.sub(r"-\d", "", each) for each in leavers] == [
        "clerk",
        "printer",
        "printer",
        "archive",
    ]
    assert sorted(who(lines, "begins")) == sorted(who(lines, "has finished"))
    # What was finished is in the book, and who ordered it has it.
    finished = len(who(lines, "has finished"))
    assert f"closes the book, with {finished} titles in it" in "\n".join(lines)
    assert len(who(lines, r"has \w+'s print \d+, number")) == finished
    assert sorted(who(lines, "goes home without .*ActorStopped")) == ["ann", "ben", "cat"]
    assert place(lines, "closes the front door") < place(lines, "clerk ", "has read all its mail")
    assert lines[-1].endswith("has closed the shop in time")


def test_when_the_time_has_come_the_closing_runs_down_the_tree():
    code, lines = run("--after", "0.6")

    assert code == 0
    assert_ended_well(lines)
    # There was work in hand when the door closed, and it was finished.
    closed = place(lines, "closes the front door")
    assert who(lines[closed:], "has finished")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1"])
@pytest.mark.parametrize("option", ["--after", "--grace"])
def test_seconds_that_cannot_pass_are_refused(option: str, seconds: str):
    ran = subprocess.run(
        [*COMMAND, "--after", "0", option, seconds],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ran.returncode == 2
    assert "Usage:" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_does_the_same(number: signal.Signals):
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment(), stdout=subprocess.PIPE) as shop:
        assert shop.stdout
        lines = []
        for line in shop.stdout:
            lines.append(line.decode().rstrip())
            # Both have something in hand, and something is waiting.
            if len(who(lines, "begins")) == 3:
                shop.send_signal(number)
                break
        lines += shop.stdout.read().decode().splitlines()
        code = shop.wait(PATIENCE)

    assert code == 0
    assert_ended_well(lines)


def test_who_is_late_is_cancelled_at_the_deadline_and_everybody_hears_of_it():
    code, lines = run("--after", "0.5", "--grace", "1.2", "--late")

    assert code == 1
    (late,) = set(who(lines, "begins dan's print 1"))
    assert sorted(who(lines, "is still here, and is cancelled")) == sorted(["archive", late])
    # The other Printer and the Clerk left as they do in time.
    assert len(who(lines, "has read all its mail")) == 2
    assert sorted(who(lines, "goes home without")) == ["ann", "ben", "cat", "dan"]
    # A book that is cancelled is closed all the same.
    assert len(who(lines, "closes the book")) == 1
    assert lines[-1].endswith("has closed the shop by force")
