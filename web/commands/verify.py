"""The command `calotype verify`: whether a job would come out the same again."""

from __future__ import annotations

import sys

import click

from actors.imaging.errors import ImageError
from actors.storage.opening import Places, view_storage
from actors.storage.ports import BlobNotFound, JobNotFound, StorageError, WrongStatus
from actors.verification import Verification
from actors.verification import verify as verify_job
from web.settings import read_settings

SAME, DIFFERENT, UNKNOWN = 0, 1, 2


@click.command()
@click.argument("job_id", metavar="JOB")
def verify(job_id: str) -> None:
    """Render a completed job again, and say whether the bytes are the same.

    It reads the storage that the settings name, beside the service if that is running.

    Ends with 0 if all are the same, with 1 if some differ, and with 2 if nobody can say.
    """
    settings = read_settings()
    places = Places(settings.db_path, settings.upload_dir, settings.output_dir)
    try:
        with view_storage(places) as storage:
            verification = verify_job(storage, job_id, settings.image_limits)
    except (StorageError, ImageError) as error:
        click.echo(f"calotype: {_reason(error, job_id)}", err=True)
        sys.exit(UNKNOWN)
    for line in _lines(verification):
        click.echo(line)
    sys.exit(SAME if verification.is_the_same else DIFFERENT)


def _reason(error: StorageError | ImageError, job_id: str) -> str:
    match error:
        case JobNotFound():
            return f"there is no job {job_id}"
        case WrongStatus(status=status):
            return f"job {job_id} is {status}, and has nothing to compare"
        case BlobNotFound():
            return f"a file of job {job_id} is gone: {error}"
    return str(error)


def _lines(verification: Verification) -> list[str]:
    lines = []
    for verdict in verification.verdicts:
        again = "the same" if verdict.again else "DIFFERENT"
        kept = "" if verdict.kept else "; the file that is kept is NOT what was made"
        lines.append(f"{verdict.name}: {again}{kept}")
    lines += [f"{name} was {then}, and is {now}" for name, then, now in verification.versions]
    return lines
