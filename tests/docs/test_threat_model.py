"""What docs/threat-model.md says is shown by a test is shown by one that exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
HEAD = "| threat | what answers it | shown by |\n| --- | --- | --- |\n"


@cache
def functions_of(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, functions) and node.name.startswith("test_")
    )


def threats() -> list[list[str]]:
    """The rows of all tables of threats, as their cells."""
    tables = [part.partition("\n\n")[0] for part in PAGE.split(HEAD)[1:]]
    lines = [line for table in tables for line in table.splitlines()]
    return [line.strip("| ").split(" | ") for line in lines]


@pytest.mark.parametrize("path", sorted({path for path, _ in NAMED.findall(PAGE)}))
def test_every_test_that_is_named_exists(path):
    named = {name for file, name in NAMED.findall(PAGE) if file == path}

    assert named <= functions_of(path)


def test_every_threat_has_an_answer_and_a_test_and_nothing_else_in_its_last_cell():
    assert len(threats()) > 30
    for threat, answer, shown in threats():
        assert threat
        assert answer
        assert NAMED.sub("", shown).strip(", ") == ""
        assert NAMED.search(shown)


def test_what_is_not_defended_is_said():
    section = PAGE.split("\n## What is not defended\n")[1]

    assert section.count("\n- **") > 10
