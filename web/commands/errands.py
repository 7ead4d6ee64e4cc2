"""Which pictures a command line means, and where the results go."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import click

from web.sending import ImageUrl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from web.results import Picture

MAX_NAME: Final = 50  # characters that a name takes over from an address; up to 4 bytes each
SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".tif", ".tiff", ".heic", ".heif"}
)


@dataclass(frozen=True, slots=True)
class Errand:
    """A picture to send. `base` is where its result goes, but for what its name ends with."""

    source: Path | ImageUrl
    base: Path

    @property
    def name(self) -> str:
        """The source, fit to be shown: an address without its query, which may be a secret."""
        if isinstance(self.source, ImageUrl):
            return self.source.url.partition("?")[0]
        return click.format_filename(self.source)


def errands_for(sources: Iterable[Path | ImageUrl]) -> list[Errand]:
    """Return an errand for each file or address, and each picture in and below each directory.

    In directories, what is hidden is left out. No two errands have the same base.
    """
    errands, taken = [], set[Path]()
    for each in sources:
        for source, wanted in _pictures(each):
            base, number = wanted, 1
            while base in taken:
                number += 1
                base = wanted.with_name(f"{wanted.name}-{number}")
            taken.add(base)
            errands.append(Errand(source, base))
    return errands


def _pictures(path: Path | ImageUrl) -> Iterator[tuple[Path | ImageUrl, Path]]:
    """Yield each picture and its place below the directory of the results."""
    if isinstance(path, ImageUrl):
        yield path, Path(_name_in(path.url))
        return
    if not path.is_dir():
        yield path, Path(path.stem)
        return
    for directory, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            source = Path(directory, name)
            hidden = name.startswith(".")
            if source.suffix.lower() in SUFFIXES and not hidden and source.is_file():
                yield source, source.relative_to(path).with_suffix("")


def _name_in(url: str) -> str:
    """Return a name for a file, made of the end of the path, or else of the host."""
    parts = urlsplit(url)
    stem = Path(unquote(parts.path)).stem or parts.hostname or ""
    return re.sub(r"[^\w.-]", "_", stem).lstrip(".")[:MAX_NAME] or "image"


class Outputs:
    """Names for the results: in `out`, and never that of a picture which is sent.

    `made` is the operation or the preset.
    `file` is the one file that the result of a single picture goes to, if `out` names one.
    """

    def __init__(
        self, out: Path | None, made: str, errands: Iterable[Errand], *, alone: bool
    ) -> None:
        self.file = out if alone and out is not None and not out.is_dir() else None
        self._directory = out or Path()
        self._made = made
        self._inputs = {
            _identity(errand.source) for errand in errands if isinstance(errand.source, Path)
        }

    def is_input(self, path: Path) -> bool:
        """Whether `path` is one of the pictures that are sent, by any of its names."""
        return path.exists() and _identity(path) in self._inputs

    def target(self, errand: Errand, picture: Picture) -> Path:
        """Return where a result of `errand` goes; one of several has its name in that of the file.

        Of several, each goes beside `file`.
        """
        if self.file is not None and not picture.name:
            return self.file
        if self.file is not None:
            wanted, made = self.file.with_suffix(""), picture.name
        else:
            wanted = self._directory / errand.base
            made = f"{self._made}.{picture.name}" if picture.name else self._made
        target, number = wanted.with_name(f"{wanted.name}.{made}{picture.suffix}"), 1
        while self.is_input(target):
            number += 1
            target = wanted.with_name(f"{wanted.name}.{made}-{number}{picture.suffix}")
        return target


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
