"""`python -m tests.supply.bill FILE` writes the bill of materials: what a service runs on.

It is CycloneDX, made of the pins alone, so that the same pins give the same bytes.
"""

import sys
import uuid
from collections.abc import Iterable
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tests.supply.licences import licence
from tests.supply.pins import PROJECT, Pin, extra, needs_of, shipped


def bill() -> str:
    """Return the bill of materials as JSON."""
    needed, optional = shipped(), extra()
    everything = [*needed.values(), *optional.values()]
    components = {pin.name: _component(pin, is_optional=pin.name in optional) for pin in everything}
    root = Component(
        type=ComponentType.APPLICATION,
        name=PROJECT["name"],
        version=PROJECT["version"],
        description=PROJECT["description"],
        licenses=[LicenseFactory().make_from_string(PROJECT["license"])],
        bom_ref=PROJECT["name"],
    )
    bom = Bom(components=components.values())
    bom.metadata.component = root
    bom.metadata.timestamp = None  # type: ignore[assignment]  # it may be absent, says the schema
    for name, component in ((PROJECT["name"], root), *components.items()):
        needs = needs_of(name, everything)
        bom.register_dependency(component, [components[each.name] for each in needs])
    bom.serial_number = _serial_number(everything)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _component(pin: Pin, *, is_optional: bool) -> Component:
    said = licence(pin.name)
    purl = PackageURL("pypi", name=pin.name, version=pin.version)
    return Component(
        type=ComponentType.LIBRARY,
        name=pin.name,
        version=pin.version,
        purl=purl,
        bom_ref=str(purl),
        scope=ComponentScope.OPTIONAL if is_optional else ComponentScope.REQUIRED,
        licenses=[LicenseFactory().make_from_string(said)] if said else (),
        # Not hashes of the component: it is one of these files, according to the platform.
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(str(purl)),
                comment="One of the files with these hashes is installed.",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in pin.hashes],
            )
        ],
        properties=[Property(name="calotype:marker", value=pin.marker)] if pin.marker else (),
    )


def _serial_number(everything: Iterable[Pin]) -> uuid.UUID:
    """Return a number that other pins would not have."""
    text = repr([(pin.name, pin.version, pin.marker, pin.hashes) for pin in everything])
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{PROJECT['name']} {PROJECT['version']} {text}")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(bill(), "utf-8")
