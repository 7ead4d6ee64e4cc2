"""Whatever a file says, it ends in a named error or a right picture, in bounded time and memory.

The files are read in processes that do nothing else. The bounds on time are in seconds of the
processor and many times what is needed, so that no slow machine matters.
"""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.chance import mutations
from tests.imaging.good_files import good_files
from tests.imaging.hostile import FAMILIES
from tests.imaging.outcomes import BROKEN, PICTURE, TOO_LARGE, UNSUPPORTED

ROOT = Path(__file__).parent.parent.parent
MOST_SECONDS, MOST_MEGABYTES = 20, 500
MUTATIONS = 2_000

# The parsers of what is refused are not even loaded.
UNWANTED = {
    f"PIL.{name}Plugin"
    for name in (
        *("BmpImage", "CurImage", "DdsImage", "EpsImage", "FitsImage", "IcnsImage", "IcoImage"),
        *("Jpeg2KImage", "MpoImage", "PcxImage", "PsdImage", "SgiImage", "TgaImage", "WmfImage"),
    )
} | {"PIL.PdfParser"}


def tried(directory, files):
    """What became of each file, by its name."""
    for name, data in files:
        (directory / name).write_bytes(data)
    command = [sys.executable, "-m", "tests.imaging.trial", str(directory), "200", "4000"]
    child = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    )
    told = [json.loads(line) for line in child.stdout.splitlines()]
    assert child.returncode == 0, f"it ended after {told[-1:]}"
    assert UNWANTED.isdisjoint(told.pop()["modules"])
    assert [
        each
        for each in told
        if each["seconds"] > MOST_SECONDS or each["megabytes"] > MOST_MEGABYTES
    ] == []
    return {each["name"]: each["outcome"] for each in told}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hostile_file_is_called_what_it_is(tmp_path, family):
    files = FAMILIES[family]()

    outcomes = tried(tmp_path, ((name, data) for name, (data, _) in files.items()))

    assert outcomes == {name: outcome for name, (_, outcome) in files.items()}
    assert len(outcomes) > 30


@pytest.mark.parametrize("part", range(4))
def test_what_chance_makes_of_good_files_is_an_error_or_a_picture(tmp_path, part):
    good = dict(itertools.islice(good_files().items(), part, None, 4))
    each = -(-MUTATIONS // len(good_files()))

    outcomes = tried(
        tmp_path,
        (
            (f"{name}-{number:03}", data)
            for name, whole in good.items()
            for number, data in enumerate(itertools.islice(mutations(whole, each), each))
        ),
    )

    assert len(outcomes) == each * len(good)
    assert set(outcomes.values()) <= {PICTURE, BROKEN, UNSUPPORTED, TOO_LARGE}
    assert PICTURE in outcomes.values()


def test_what_is_not_mutated_is_a_picture(tmp_path):
    outcomes = tried(tmp_path, good_files().items())

    assert set(outcomes.values()) == {PICTURE}
