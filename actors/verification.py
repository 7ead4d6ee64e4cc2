"""Whether a job that is done would come out the same again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import msgspec

from actors.imaging.receipt import versions
from actors.imaging.recipe import decode_recipe
from actors.imaging.render import render
from actors.storage.ports import BlobNotFound, StorageError, WrongStatus

if TYPE_CHECKING:
    from actors.imaging.facts import Limits
    from actors.storage.ports import Catalogue, Job, Output, Storage


class _MadeWith(msgspec.Struct):
    """What of a receipt counts here."""

    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one output: `kept` and `again` say whether its bytes are those of the receipt.

    `kept` is of the file that is there, `again` of what the recipe makes of the original now.
    """

    name: str
    kept: bool
    again: bool


@dataclass(frozen=True, slots=True)
class Verification:
    """One verdict for each output, and the versions that differ: then and now."""

    verdicts: tuple[Verdict, ...]
    versions: tuple[tuple[str, str, str], ...]

    @property
    def is_the_same(self) -> bool:
        """Whether every file is as it was, and comes out the same."""
        return all(verdict.kept and verdict.again for verdict in self.verdicts)


def verify(storage: Storage, job_id: str, limits: Limits) -> Verification:
    """Render a completed job again, and compare.

    Raises:
      JobNotFound, WrongStatus: if there is no such job, or it is not completed.
      BlobNotFound: if its original is gone.
      StorageUnavailable: if its files cannot be read.
      ImageError: if it cannot be rendered any more, as under other limits.
    """
    job = _find(storage.catalogue, job_id)
    if job.status != "completed":
        raise WrongStatus(job.status)
    if job.input_key is None:
        raise BlobNotFound(job_id)
    original = storage.inputs.get(job.input_key)
    others = {name: storage.inputs.get(key) for name, key in job.others.items()}
    made = render(original, decode_recipe(job.recipe), limits, others=others)
    verdicts = (
        Verdict(
            output.name,
            kept=_is_kept(storage, output),
            again=_sha256(again.data) == output.sha256,
        )
        for output, again in zip(job.outputs, made, strict=True)
    )
    return Verification(tuple(verdicts), _other_versions(job))


def _is_kept(storage: Storage, output: Output) -> bool:
    try:
        return _sha256(storage.outputs.get(output.key)) == output.sha256
    except BlobNotFound:
        return False


def _find(catalogue: Catalogue, job_id: str) -> Job:
    (found,) = catalogue.batch([lambda records: records.find(job_id)])
    if isinstance(found, StorageError):
        raise found
    return cast("Job", found)


def _other_versions(job: Job) -> tuple[tuple[str, str, str], ...]:
    now = versions()
    then = msgspec.json.decode(job.receipt, type=_MadeWith).versions if job.receipt else now
    return tuple(
        (name, then.get(name, "none"), now.get(name, "none"))
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
