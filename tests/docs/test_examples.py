"""Every example in the documentation works: what can run is run, against the real service."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.web import running

ROOT = Path(__file__).parent.parent.parent
EVERY_PAGE = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
)
PAGES = [page for page in EVERY_PAGE if "```" in page.read_text("utf-8")]
COMMANDS = {"sh": ["sh", "-eu"], "python": [sys.executable, "-"]}
# What programs write, and drawings.
SHOWN = {"console", "text", "json"}
PORT = "127.0.0.1:8080"
PATIENCE = 60

FENCE = re.compile(
    r"^(?P<fence>```+)(?P<language>\S*)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL
)
MARKER = re.compile(r"<!-- not run: \S[^>]* -->\n\Z")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    is_marked: bool

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for fence in FENCE.finditer(text):
        before = text[: fence.start()]
        yield Block(
            page,
            before.count("\n") + 1,
            fence["language"],
            fence["text"],
            MARKER.search(before) is not None,
        )


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def runnable(page: Path) -> list[Block]:
    return [
        block for block in blocks_of(page) if block.language in COMMANDS and not block.is_marked
    ]


def test_no_block_is_overlooked():
    fences = sum(len(re.findall(r"(?m)^```", page.read_text("utf-8"))) for page in PAGES)

    assert fences == 2 * len(BLOCKS)
    assert {"README.md", "api.md", "operations.md", "shutdown.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_is_run_or_shown_or_says_why_it_cannot_run(block: Block):
    can_run = block.language in COMMANDS

    assert can_run or block.language in SHOWN or block.is_marked
    assert not (block.is_marked and block.language in SHOWN), "what is only shown needs no marker"


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.language == "json"], ids=str)
def test_what_is_shown_as_json_is_compact_json(block: Block):
    value = json.loads(block.text)

    assert json.dumps(value, separators=(",", ":"), ensure_ascii=False) == block.text.strip()


@contextmanager
def checkout(directory: Path, *, with_service: bool) -> Iterator[int]:
    """Make `directory` what it is for a reader: a checkout, with the service running. Its port."""
    shutil.copytree(ROOT / "examples", directory / "examples")
    (directory / ".venv").symlink_to(sys.prefix)
    if not with_service:
        yield 0
        return
    with running.start_server(directory) as server:
        yield server.port


@pytest.mark.service
@pytest.mark.parametrize(
    "page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name
)
def test_the_examples_of_a_page_run_from_top_to_bottom(page: Path, tmp_path: Path):
    blocks = runnable(page)
    with checkout(tmp_path, with_service=any(PORT in block.text for block in blocks)) as port:
        for block in blocks:
            text = block.text.replace(PORT, f"127.0.0.1:{port}")

            ran = subprocess.run(
                COMMANDS[block.language],
                input=text,
                cwd=tmp_path,
                env=running.environment(),
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )

            assert ran.returncode == 0, f"{block}:\n{text}\n{ran.stdout}\n{ran.stderr}"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path):
    text = FENCE.sub("", page.read_text("utf-8"))
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if path.startswith("https:"):
            continue
        other = (page.parent / path).resolve() if path else page
        if not other.exists() or (anchor and anchor not in anchors_of(other)):
            broken.append(target)

    assert not broken


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", each).strip().lower().replace(" ", "-") for each in headings}
