"""What a render makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from actors.imaging.facts import Written
from actors.imaging.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One finished output: the bytes of a file, what they are, and how they came about.

    `operations` are those that were done, in whole pixels.
    `quality` is that of a format that has one; `ssim` is told where it was measured.
    """

    name: str
    data: bytes
    format: Written | Literal["json"]
    width: int
    height: int
    frames: int = 1
    quality: int | None = None
    ssim: float | None = None
    operations: tuple[Step, ...] = ()
