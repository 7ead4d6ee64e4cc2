"""The bill of materials holds what is locked, and is what its standard says."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.supply.bill import bill
from tests.supply.pins import ROOT, extra, pins, shipped


@pytest.fixture(scope="module")
def text() -> str:
    return bill()


@pytest.fixture(scope="module")
def components(text):
    return {each["name"]: each for each in json.loads(text)["components"]}


def test_it_is_cyclonedx(text):
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)

    assert fault is None


def test_the_same_pins_give_the_same_bytes(text):
    assert bill() == text


def test_it_holds_every_pin_with_its_hashes(components):
    for lock in (shipped(), extra()):
        for name, pin in lock.items():
            (reference,) = components[name]["externalReferences"]
            hashes = {each["content"] for each in reference["hashes"]}
            assert components[name]["version"] == pin.version
            assert components[name]["purl"] == f"pkg:pypi/{name}@{pin.version}"
            assert hashes == set(pin.hashes)
    assert len(components) == len(shipped()) + len(extra())


def test_what_only_an_extra_needs_is_optional(components):
    assert components["trio"]["scope"] == "required"
    assert components["pillow-heif"]["scope"] == "optional"
    assert components["opentelemetry-api"]["scope"] == "optional"


def test_it_says_who_needs_whom(text):
    needs = {each["ref"]: each.get("dependsOn", []) for each in json.loads(text)["dependencies"]}
    versions = {name: pin.version for name, pin in shipped().items()}

    assert f"pkg:pypi/trio@{versions['trio']}" in needs["calotype"]
    assert f"pkg:pypi/attrs@{versions['attrs']}" in needs[f"pkg:pypi/trio@{versions['trio']}"]


@pytest.mark.parametrize("lock", ["build", "runtime", "test"])
def test_every_line_of_a_lock_is_read(lock):
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8").splitlines()
    begin = [line.partition("==")[0] for line in lines if line and line[0] not in " #"]

    assert list(pins(lock)) == begin
    assert all(pin.hashes and pin.needed_by for pin in pins(lock).values())
