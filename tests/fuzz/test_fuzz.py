"""What our own parsers do with what they do not expect: what is documented, and in bounds."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.attempts import CORPUS, attempt, inputs
from tests.fuzz.targets import Target, targets

ROOT = Path(__file__).parent.parent.parent
KEPT = sorted(CORPUS.glob("*/*"))
RUNS = 2000  # inputs for each parser: some ten seconds of one core in all


@pytest.fixture(scope="module")
def every() -> dict[str, Target]:
    return targets()


def test_what_is_good_is_taken(every):
    refused = {
        name: seed
        for name, target in every.items()
        for seed in target.seeds
        if attempt(name, target, seed) is not True
    }

    assert refused == {}


def test_what_is_made_of_it_is_the_same_for_the_same_seed(every):
    def some(name: str, seed: int) -> list[bytes]:
        stream = inputs(every[name], seed)
        return [next(stream) for _ in range(20)]

    assert some("json", 1) == some("json", 1) != some("json", 2)


def test_nothing_breaks_a_parser(tmp_path):
    # In a process of its own, of which the memory is bounded.
    command = [sys.executable, "-m", "tests.fuzz", "--runs", str(RUNS), "--corpus", str(tmp_path)]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_broke_a_parser_once_does_not_any_more(every, path):
    name = path.parent.name

    assert isinstance(attempt(name, every[name], path.read_bytes()), bool)


def test_what_breaks_a_parser_is_found_and_kept(tmp_path):
    def read(data: bytes) -> bool:
        return bool(1 // (len(data) - 5))

    finding = attempt("length", Target(read, (b"",)), b"12345")

    assert not isinstance(finding, bool)
    assert isinstance(finding.error, ZeroDivisionError)
    assert finding.keep(tmp_path).read_bytes() == b"12345"
    assert finding.keep(tmp_path).parent == tmp_path / "length"


def test_a_parser_that_takes_too_long_is_given_up():
    def read(data: bytes) -> bool:
        while True:
            pass

    finding = attempt("endless", Target(read, (b"",)), b"")

    assert not isinstance(finding, bool)
    assert "takes more than" in str(finding.error)


def test_a_parser_that_takes_too_much_is_refused_it():
    script = """
from tests.fuzz.attempts import attempt, bound_memory
from tests.fuzz.targets import Target

bound_memory()
print(attempt("large", Target(lambda data: bool(bytes(2**30)), (b"",)), b"").error.__class__)
"""

    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "<class 'MemoryError'>"
