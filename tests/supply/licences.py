"""Under which licence a package is, as it says itself."""

import re
from importlib import metadata

# Those that ask for no more than their text and the names of the authors to be passed on; and the
# MPL, which asks more of whoever changes the package alone.
ACCEPTED = frozenset(
    {
        *("0BSD", "MIT", "MIT-0", "MIT-CMU", "BSD-2-Clause", "BSD-3-Clause", "BSD", "Apache-2.0"),
        *("PSF-2.0", "Public Domain", "MPL-2.0"),
    }
)
# As packages say it that have no expression of SPDX for it.
_SPELT = {
    "MIT License": "MIT",
    "The MIT License (MIT)": "MIT",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD License": "BSD",
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
}


def licence(name: str) -> str | None:
    """Return the licence of an installed package, in the words of SPDX where there are such.

    None if it does not say, or is not installed, as is what only other platforms need.
    """
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classifiers = [
        each.rpartition(" :: ")[2]
        for each in said.get_all("Classifier") or []
        if each.startswith("License :: ") and each != "License :: OSI Approved"
    ]
    (expression, *_) = said.get_all("License-Expression") or [""]
    (text, *_) = said.get_all("License") or [""]
    given = expression or text.partition("\n")[0].strip() or " OR ".join(sorted(classifiers))
    return " ".join(_SPELT.get(each, each) for each in re.split(r" (OR|AND) ", given)) or None


def parts(expression: str) -> set[str]:
    """Return the licences that an expression is put together of."""
    return set(re.split(r" (?:OR|AND) ", expression))
