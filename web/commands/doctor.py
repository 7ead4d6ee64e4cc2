"""The command `calotype doctor`: whether the catalogue and the files are sound, and agree."""

from __future__ import annotations

import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import click
import msgspec

from actors.examination import Counts, Examination
from actors.mending import Mending, Tidying
from actors.storage.files import make_shards
from actors.storage.findings import GRAVE, Finding
from actors.storage.opening import AlreadyOpen, Places, is_open, open_storage, view_storage
from actors.storage.ports import StorageError
from actors.storage.soundness import leftovers, look_at_places
from web.commands.beside import user_name
from web.commands.options import Duration
from web.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from actors.storage.keeping import Keeping

SOUND, UNSOUND, UNKNOWN = 0, 1, 2


@click.command()
@click.option("--digests", is_flag=True, help="Read all files, and compare their SHA-256.")
@click.option("--mend", is_flag=True, help="Do what can safely be done about what is found.")
@click.option(
    "--older-than",
    type=Duration(),
    default="1h",
    show_default=True,
    help="While the service runs, leave alone what is younger and that no record names.",
)
@click.option("--json", "as_json", is_flag=True, help="Print them for programs, one a line.")
def doctor(*, digests: bool, mend: bool, older_than: timedelta, as_json: bool) -> None:
    """Hold the catalogue and the files against each other, and say what is wrong.

    It reads the storage that the settings name, beside the service if that is running. Without
    --mend it changes nothing.

    Ends with 0 if all is sound or was mended, with 1 if something is wrong, and with 2 if nobody
    can say.
    """
    settings = read_settings()
    places = Places(settings.db_path, settings.upload_dir, settings.output_dir)
    visit = _Visit(places, settings.audit, older_than, digests=digests, mend=mend)
    found = left = 0
    try:
        for finding in visit.findings():
            found += 1
            left += finding.mended is None
            click.echo(msgspec.json.encode(finding) if as_json else _line(finding))
    except StorageError as error:
        click.echo(f"calotype: it cannot be looked at: {error}", err=True)
        sys.exit(UNKNOWN)
    if not as_json:
        click.echo(_summary(visit.counts, found, found - left))
    sys.exit(UNSOUND if left else SOUND)


class _Visit:
    def __init__(
        self, places: Places, audit: Keeping, older_than: timedelta, *, digests: bool, mend: bool
    ) -> None:
        self.counts = Counts()
        self._places = places
        self._audit = audit
        self._older_than = older_than
        self._digests = digests
        self._mend = mend

    def findings(self) -> Iterator[Finding]:
        """Yield all findings. Raises: StorageError, if it cannot be looked at any further."""
        places = self._places
        found = look_at_places(places)
        is_grave = any(finding.kind in GRAVE for finding in found)
        # Found before it is opened, since to open it is to remove them.
        old = timedelta(0) if not is_open(places) else self._older_than
        left = list(leftovers(places, old))
        with ExitStack() as stack:
            if is_grave or not self._mend:
                yield from found
                yield from map(_leftover, left)
                if not is_grave:
                    storage = stack.enter_context(view_storage(places))
                    yield from self._examined(
                        Examination(
                            storage,
                            digests=self._digests,
                            is_served=partial(is_open, places),
                            is_old=self._is_old,
                        )
                    )
                return
            try:
                storage = stack.enter_context(open_storage(places))
            except AlreadyOpen:
                storage = stack.enter_context(view_storage(places))
                mending: Mending | Tidying = Tidying()
            else:
                mending = Mending(storage, partial(datetime.now, UTC), user_name(), self._audit)
            yield from map(self._completed, found)
            yield from map(self._removed, left)
            is_ours = isinstance(mending, Mending)
            yield from self._examined(
                Examination(
                    storage,
                    digests=self._digests,
                    is_served=lambda: not is_ours,
                    is_old=self._is_old,
                    mending=mending,
                )
            )

    def _examined(self, examination: Examination) -> Iterator[Finding]:
        self.counts = examination.counts
        return examination.run()

    def _is_old(self, since: datetime) -> bool:
        return datetime.now(UTC) - since >= self._older_than

    def _completed(self, finding: Finding) -> Finding:
        if finding.kind != "directory_incomplete":
            return finding
        for directory in self._places.directories.values():
            make_shards(directory)
        return replace(finding, mended="they are made")

    def _removed(self, path: Path) -> Finding:
        with suppress(FileNotFoundError):
            path.unlink()
        return replace(_leftover(path), mended="it is deleted")


def _leftover(path: Path) -> Finding:
    return Finding("leftover", str(path), "it was begun and never finished")


def _line(finding: Finding) -> str:
    mended = f" [mended: {finding.mended}]" if finding.mended else ""
    return f"{finding.kind}  {finding.subject}: {finding.text}{mended}"


def _summary(counts: Counts, found: int, mended: int) -> str:
    looked = f"{counts.jobs} jobs, {counts.images} images and {counts.files} files"
    if not found:
        return f"Sound: {looked}."
    return f"Found {found}, of which {mended} mended, in {looked}."
