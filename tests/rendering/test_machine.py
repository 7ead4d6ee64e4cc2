"""The memory of the machine is what its control groups leave of it."""

import os

import pytest

from actors.rendering import machine
from actors.rendering.machine import memory_of_machine

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
UNLIMITED = "9223372036854771712\n"  # as version 1 says it


@pytest.fixture
def grouped(tmp_path, monkeypatch):
    """A machine with these control groups, and where this process is in them."""

    def group(membership, **bounds):
        monkeypatch.setattr(machine, "MEMBERSHIP", tmp_path / "membership")
        monkeypatch.setattr(machine, "GROUPS", tmp_path / "groups")
        if membership is not None:
            (tmp_path / "membership").write_text(membership)
        for path, bound in bounds.items():
            file = tmp_path / "groups" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(bound)

    return group


@pytest.mark.parametrize(
    ("membership", "bounds", "memory"),
    [
        (None, {}, PHYSICAL),
        ("", {}, PHYSICAL),
        ("0::/\n", {}, PHYSICAL),
        ("0::/\n", {"memory.max": "1000000\n"}, 1_000_000),
        ("0::/\n", {"memory.max": "max\n"}, PHYSICAL),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "5000\n"}, 5_000),
        ("0::/a/b\n", {"a/b/memory.max": "3000\n", "a/memory.max": "5000\n"}, 3_000),
        ("0::/outside\n", {"memory.max": "7000\n"}, 7_000),
        ("0::/a\n", {"b/memory.max": "7000\n"}, PHYSICAL),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "8000\n"}, 8_000),
        ("4:memory:/docker/1\n", {"memory/memory.limit_in_bytes": "8000\n"}, 8_000),
        ("4:cpu,memory:/\n", {"memory/memory.limit_in_bytes": UNLIMITED}, PHYSICAL),
        ("4:cpu:/\n", {"memory/memory.limit_in_bytes": "8000\n"}, PHYSICAL),
    ],
)
def test_the_least_that_a_control_group_leaves(grouped, membership, bounds, memory):
    grouped(membership, **bounds)

    assert memory_of_machine() == memory


def test_this_machine_has_some():
    assert 0 < memory_of_machine() <= PHYSICAL
