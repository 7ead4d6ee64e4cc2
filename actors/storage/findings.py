"""What is found wrong with a storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "catalogue_damaged",
    "schema_older",
    "schema_newer",
    "directory_missing",
    "directory_foreign",
    "directory_incomplete",
    "not_writable",
    "room_low",
    "leftover",
    "orphan",
    "stranger",
    "job_stranded",
    "file_missing",
    "file_damaged",
    "file_unreadable",
]
# With one of these, nothing that follows from the files can be believed.
GRAVE: frozenset[Kind] = frozenset(
    {
        "catalogue_damaged",
        "schema_older",
        "schema_newer",
        "directory_missing",
        "directory_foreign",
    }
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong.

    `subject` is where: a path, or the id of a job or of an image. `text` says what, for people.
    `mended` says what was done about it; None if nothing was.
    """

    kind: Kind
    subject: str
    text: str
    mended: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one file that a record names.

    `role` is what it is for the record; the image of another record that a job needs is `image`.
    """

    role: Literal["input", "output", "image"]
    key: str
    kind: Kind
    text: str
