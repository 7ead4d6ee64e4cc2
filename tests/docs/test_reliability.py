"""What docs/reliability.md says is shown by a test is shown by one that exists."""

from pathlib import Path

import pytest

from tests.docs.test_threat_model import NAMED, functions_of

PAGE = (Path(__file__).parent.parent.parent / "docs" / "reliability.md").read_text("utf-8")
HEAD = "| fault | what is promised | shown by | measured |\n| --- | --- | --- | --- |\n"


def faults() -> list[list[str]]:
    """The rows of all tables, as their cells."""
    tables = [part.partition("\n\n")[0] for part in PAGE.split(HEAD)[1:]]
    lines = [line for table in tables for line in table.splitlines()]
    return [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines]


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED.findall(PAGE)}))
def test_every_test_that_is_named_exists(path):
    named = {name for file, name in NAMED.findall(PAGE) if file == path}

    assert named <= functions_of(path)


def test_every_fault_has_a_promise_and_a_test_and_nothing_else_in_its_cell():
    assert len(faults()) > 30
    for fault, promise, shown, _ in faults():
        assert fault
        assert promise
        assert NAMED.sub("", shown).strip(", ") == ""
        assert NAMED.search(shown)


def test_what_is_not_promised_is_said():
    section = PAGE.split("\n## What is not promised\n")[1]

    assert section.count("\n- **") > 5
