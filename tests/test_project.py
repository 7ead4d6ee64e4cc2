"""The manners of the project: what every file in it, taken together, must hold."""

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

RUNTIME = PROJECT["project"]["dependencies"]
DIRECT = [
    *RUNTIME,
    *(line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra),
    *(line for group in PROJECT["dependency-groups"].values() for line in group),
]


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def locked(path: Path) -> list[str]:
    """The entries of a requirements file, each with its hashes on one line."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return [
        line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_no_file_names_a_package_registry_or_a_place_on_one_machine() -> None:
    # Put together here, so that this file does not name them either.
    unwanted = [
        re.escape(name + suffix).encode()
        for name, suffix in [("py", "pi.org"), ("py", "pi.python.org"), ("python", "hosted.org")]
    ]
    unwanted.append(rb"(?<![\w.])/(?:root|home|Users)/\w")
    if len(ROOT.parts) > 2:
        # A root such as /app may well be named for another reason.
        unwanted.append(re.escape(str(ROOT)).encode() + rb"\b")
    pattern = re.compile(b"|".join(unwanted))

    found = {
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in tracked_files()
        for match in pattern.finditer(path.read_bytes())
    }

    assert not found


def test_every_direct_dependency_has_its_line_in_the_docs() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    described = [canonicalize_name(name) for name in re.findall(r"(?m)^\| `([^`]+)` \|", page)]

    assert sorted(described) == sorted(names(DIRECT))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_requirement_is_pinned_with_hashes(path: Path) -> None:
    loose = [
        line[:60]
        for line in locked(path)
        if not re.match(r"[\w.-]+==[\w.]+ .*--hash=sha256:[0-9a-f]{64}", line)
    ]

    assert locked(path)
    assert not loose


@pytest.mark.parametrize(("lock", "direct"), [("runtime", RUNTIME), ("test", DIRECT)])
def test_the_lock_is_what_pyproject_asks_for(lock: str, direct: list[str]) -> None:
    if lock == "test":
        # The tools that build are locked in a file of their own.
        direct = [line for line in direct if line not in PROJECT["dependency-groups"]["build"]]
    pins = {}
    for line in locked(ROOT / "requirements" / f"{lock}.txt"):
        pin = Requirement(line.partition("--hash")[0])
        pins[canonicalize_name(pin.name)] = str(pin.specifier).removeprefix("==")

    wanted = {canonicalize_name(need.name): need.specifier for need in map(Requirement, direct)}

    assert names(direct) <= pins.keys()
    assert not [name for name, need in wanted.items() if pins[name] not in need]


def test_the_version_is_the_same_everywhere() -> None:
    version = PROJECT["project"]["version"]
    headings = re.findall(r"(?m)^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"))

    assert metadata.version("calotype") == version
    assert headings[0] == "Unreleased" or headings[0] == version
    assert all(heading == version for heading in headings[1:2])
