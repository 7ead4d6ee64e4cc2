"""Nothing is shipped with the service that a licence forbids, or that nobody has looked at."""

import re
from importlib import metadata

import pytest
from packaging.markers import Marker

from tests.supply.licences import ACCEPTED, licence, parts
from tests.supply.pins import ROOT, extra, pins, shipped

# What these are under is said in docs/dependencies.md: wheels with more in them than the package.
OF_MANY = {"pillow-heif", "matplotlib", "numpy", "kiwisolver", "contourpy", "fonttools", "cycler"}


def is_for_here(marker: str | None) -> bool:
    return marker is None or Marker(marker).evaluate()


@pytest.mark.parametrize("name", sorted(shipped().keys() | extra().keys() - OF_MANY))
def test_a_package_that_is_shipped_has_a_licence_that_lets_us(name):
    pin = (shipped() | extra())[name]
    if not is_for_here(pin.marker):
        pytest.skip("it is for another platform")

    said = licence(name)

    assert said
    assert parts(said) <= ACCEPTED


def test_what_is_installed_is_what_is_locked():
    locked = {**pins("test"), **pins("runtime"), **pins("build")}

    different = {
        name: (pin.version, metadata.version(name))
        for name, pin in locked.items()
        if is_for_here(pin.marker) and metadata.version(name) != pin.version
    }

    assert different == {}


def test_every_direct_dependency_has_a_licence_in_the_docs():
    page = (ROOT / "docs" / "dependencies.md").read_text("utf-8")

    rows = re.findall(r"(?m)^\| `([^`]+)` \| ([^|]*) \|", page)

    assert [name for name, said in rows if not re.search(r"[A-Z]{3}|Apache|Matplotlib", said)] == []
