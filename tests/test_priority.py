"""A thread that only calculates gives way to all others."""

import os
import subprocess
import sys

import pytest

from actors.priority import NICENESS, give_way
from tests.conftest import PATIENCE


@pytest.mark.parametrize("niceness", [0, NICENESS, NICENESS + 5])
def test_a_render_has_a_low_priority_whatever_the_service_was_started_with(niceness):
    script = (
        "import os, sys, threading\n"
        "from actors.priority import give_way\n"
        "def work():\n"
        "    give_way()\n"
        "    print(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start()\n"
        "thread.join()\n"
        "print(os.getpriority(os.PRIO_PROCESS, 0))\n"
    )

    told = subprocess.run(
        ["nice", "-n", str(niceness), sys.executable, "-c", script],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip

    # It adds to what the tests were started with; 19 is the most.
    started = min(os.getpriority(os.PRIO_PROCESS, 0) + niceness, 19)
    assert [int(line) for line in told.stdout.split()] == [max(NICENESS, started), started]


def test_a_sandbox_that_forbids_to_lower_the_priority_stops_no_render(monkeypatch):
    def forbid(*_):
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbid)
    monkeypatch.setattr(os, "getpriority", lambda *_: 0)

    give_way()
