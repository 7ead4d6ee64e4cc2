import os
import subprocess
import sys
from pathlib import Path

LOGGING = """
import structlog
from web.logs import configure_logs
configure_logs({form!r}, "info")
structlog.contextvars.bind_contextvars(request_id="r1")
log = structlog.get_logger("test")
log.debug("not shown")
log.info("job_accepted", job_id="j1")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broken")
print("alive")
"""


def run(form, **options):
    return subprocess.run(
        [sys.executable, "-c", LOGGING.format(form=form)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        **options,
    )


def test_elsewhere_than_on_a_terminal_each_event_is_a_line_of_json():
    done = run("auto", stderr=subprocess.PIPE)

    accepted, broken = done.stderr.splitlines()
    assert '"event":"job_accepted"' in accepted
    assert '"job_id":"j1"' in accepted
    assert '"request_id":"r1"' in accepted
    assert "ZeroDivisionError" in broken


def test_people_get_lines_that_they_can_read():
    done = run("console", stderr=subprocess.PIPE)

    assert "job_accepted" in done.stderr
    assert "job_id=j1" in done.stderr


def test_a_log_that_cannot_be_written_ends_nothing():
    with Path(os.devnull).open("rb") as unwritable:
        done = run("json", stderr=unwritable)

    assert done.stdout == "alive\n"
