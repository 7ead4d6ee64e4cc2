"""The tables in the documentation are those in the code."""

import re
from pathlib import Path

from tests.deploy.families import families
from web.gate import NEEDED
from web.problems import KINDS

ROOT = Path(__file__).parent.parent.parent
# Of the methods that structlog's loggers have.
LEVELS = {"info": "info", "warning": "warning", "error": "error", "exception": "error"}


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of every table below a heading of `page`."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = re.findall(r"(?m)^\| (.*) \|$", section)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]


def test_every_problem_is_described():
    described = [
        (code.strip("`"), int(status), bool(retry))
        for code, status, retry, _ in rows("api.md", "Errors")[2:]
    ]

    assert described == [(code, kind.status, kind.retry) for code, kind in KINDS.items()]


def test_what_each_route_needs_is_described():
    described = {
        re.sub(r"\{(\w+)\}", "{}", request.strip("`")): set(re.findall("`([a-z:]+)`", needed))
        for request, needed in rows("api.md", "Keys")[2:]
    }

    needed = {re.sub(r"<\w+>", "{}", route): set(scopes) for route, scopes in NEEDED.items()}
    assert described == needed


def test_every_metric_is_described():
    described = {
        name.strip("`"): (kind, re.findall(r"`(\w+)`", labels))
        for name, kind, labels, _ in rows("api.md", "Metrics")[2:]
    }

    assert described == families()


def test_every_log_event_is_described():
    call = re.compile(r"\blog\.(info|warning|error|exception|debug)\(\s*\"(\w+)\"")
    found = {
        (event, LEVELS[level])
        for path in [*ROOT.glob("actors/**/*.py"), *ROOT.glob("web/**/*.py")]
        for level, event in call.findall(path.read_text("utf-8"))
    }

    described = {
        (event, level)
        for events, level, _ in rows("operations.md", "Logs")[2:]
        for event in re.findall(r"`(\w+)`", events)
    }

    assert described == found
