"""Upkeep: which files the records name, and what becomes of a record whose files are lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from actors.storage.ports import ImageRecord, Job


class UpkeepRegister(Protocol):
    """The records with their files: a part of a `Catalogue`, which shares its transactions.

    What changes something is for when no service has the catalogue open, which would not know.
    """

    def jobs(self, after: int, limit: int) -> list[tuple[int, Job]]:
        """Return the next jobs behind this number whose files are kept, each with its number."""

    def images(self, after: str, limit: int) -> list[ImageRecord]:
        """Return the next images behind this id, in the order of their ids.

        Those that clients have deleted and that jobs still need are among them.
        """

    def remake(self, job_id: str, now: datetime) -> Job:
        """Make a completed job pending again, last of its tenant's, as if it had no results yet.

        It may be begun as often as when it was submitted. Its files are the caller's to delete.

        Returns the job as it was.

        Raises: JobNotFound, WrongStatus.
        """

    def refuse(self, job_id: str, error: str, now: datetime) -> Job:
        """End a pending job as `failed`, with the code `crashed`. Raises: JobNotFound, WrongStatus.

        Whoever waits for its end is told, as of any other.
        """

    def lose(self, job_id: str, now: datetime) -> None:
        """Mark a job that has ended as gone, as retention does. Raises: JobNotFound, WrongStatus.

        What there still is of its files is deleted when retention comes to it.
        """

    def lose_input(self, job_id: str, now: datetime) -> None:
        """Note that a completed job has no input of its own any more. Raises: as `lose`."""

    def lose_image(self, image_id: str) -> str:
        """Forget an image, also if jobs need it; return the key of its file, to be deleted.

        Raises: ImageNotFound.
        """
