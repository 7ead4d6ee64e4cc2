"""What a render is going to take, foretold from the header of an image.

The figures are measured, each where it is greatest: docs/planning.md tells how, and how far the
sums are from what renders take in the end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from actors.imaging.course import Foresight, Window
from actors.imaging.encode import QUALITIES
from actors.imaging.facts import Facts, Format, Size, Written
from actors.imaging.recipe import Output
from actors.imaging.step import Rate
from actors.imaging.writing.draft import USUAL_EFFORT


class _Reading(NamedTuple):
    """What it takes to decode a pixel, its `memory` with the picture that comes of it.

    `time_of_a_byte` is what each byte of the file takes besides. Of an animation the memory is for
    each pixel of the canvas, however many frames there are.
    """

    memory: float
    time: float
    time_of_a_byte: float


class _Writing(NamedTuple):
    """What it takes to encode a pixel; `times` by the effort, from 1 to 9."""

    memory: float
    times: tuple[float, ...]


class _Filming(NamedTuple):
    """What it takes to encode an animation.

    `memory` is for each pixel of the canvas, and so much `for_a_frame`; `time` is a multiple of
    that of as many stills.
    """

    memory: float
    for_a_frame: float
    time: float


# In bytes: what is there besides files and pixels.
_FIXED = 4_000_000
# The bytes of a file are held as they came, and once more without their metadata.
_COPIES = 2
# In bytes, whatever the mode. Only grey takes less.
_PIXEL = 4

_READING: Final[Mapping[Format, _Reading]] = MappingProxyType(
    {
        "jpeg": _Reading(4.5, 4, 6),
        "png": _Reading(5.3, 9, 12),
        "webp": _Reading(22, 13, 20),
        "gif": _Reading(6, 6, 8),
        "avif": _Reading(13, 10, 90),
        "tiff": _Reading(10.2, 6, 4),
        "heic": _Reading(13, 24, 190),
    }
)
_PLAYING: Final[Mapping[Format, _Reading]] = MappingProxyType(
    {
        "png": _Reading(24, 9, 15),
        "webp": _Reading(28, 8, 30),
        "gif": _Reading(17, 6, 8),
        "avif": _Reading(38, 4, 90),
    }
)
# What has 16 bits for a sample is decoded as such, and reduced then.
_DEEP = 2
# A JPEG in several scans is held in full: coefficients of 2 bytes, three for a pixel unless its
# colours are subsampled. Each scan goes over them anew.
_IN_SCANS = _Reading(6, 6, 30)
# At a fraction of its size, all of a JPEG is still read.
_SKIPPING_TIME = 1

_WRITING: Final[Mapping[Written, _Writing]] = MappingProxyType(
    {
        "jpeg": _Writing(4.5, (4, 4, 4, 4, 4, 10, 10, 10, 10)),
        "png": _Writing(4.5, (80, 85, 90, 130, 220, 330, 330, 350, 400)),
        "webp": _Writing(16, (40, 50, 60, 110, 110, 110, 115, 130, 250)),
        "gif": _Writing(15, (34,) * 9),
        "avif": _Writing(33, (100, 100, 100, 210, 210, 210, 370, 370, 600)),
        "tiff": _Writing(7, (90, 90, 90, 90, 90, 150, 240, 240, 240)),
    }
)
_LOSSLESS_WEBP = _Writing(70, (55, 100, 200, 300, 350, 380, 420, 450, 500))
_PALETTED_PNG = _Writing(14, (35,) * 9)
_PHOTOGRAPH_AS_PNG = 75  # where no effort is asked for
_PROGRESSIVE_JPEG = 20
_FILMING: Final[Mapping[Written, _Filming]] = MappingProxyType(
    {
        "webp": _Filming(40, 0.5, 1.4),
        "gif": _Filming(30, 1.2, 1.5),
        "png": _Filming(20, 10, 1.2),
        "avif": _Filming(220, 0.1, 0.4),
    }
)

# What is transparent is premultiplied to be scaled, and laid on a ground where there is no alpha.
_CLEAR = Rate(5, 8)
_GROUNDING = {"jpeg", "gif", "webp"}
# To other colours: what is converted, and what it becomes.
_CONVERTING = Rate(8, 10)
# To measure how alike two pictures are, with the one that is decoded for it.
_COMPARING = Rate(10, 24)
# How many qualities are usually tried until the one that is wanted is found.
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """At most so many bytes of `memory` at a time, and about so many `seconds` of a core."""

    memory: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """An output in the making: what is seen through the `window`, and what is `ahead` of it."""

    output: Output
    kinds: tuple[Written, ...]
    window: Window
    ahead: Foresight
    moves: bool


def cost_of(size_bytes: int, facts: Facts, draft: int, works: Sequence[Work]) -> Cost:
    """Return what it takes to make these outputs of an image.

    Args:
      size_bytes: the length of its file.
      draft: by how much each edge is divided when its first frame is decoded.
    """
    bill = _Bill(_FIXED + _COPIES * size_bytes)
    films = [work for work in works if work.moves]
    if len(films) < len(works):
        _read(bill, size_bytes, facts, draft)
    if films:
        _play(bill, size_bytes, facts, films)
    for work in works:
        held = bill.held
        if work.moves:
            _write(bill, facts, work, facts.frames)
        else:
            _still(bill, facts, draft, work)
        # A finished file seldom has more than a byte for each of its pixels.
        bill.held = held + work.ahead.size[0] * work.ahead.size[1]
    return Cost(math.ceil(bill.peak), bill.nanoseconds / 1e9)


class _Bill:
    """What is held all the while, and what it has come to at the most."""

    def __init__(self, held: float) -> None:
        self.held = self.peak = held
        self.nanoseconds = 0.0

    def take(self, memory: float, nanoseconds: float) -> None:
        """Count what is let go of again."""
        self.peak = max(self.peak, self.held + memory)
        self.nanoseconds += nanoseconds

    def hold(self, memory: float) -> None:
        """Count what is kept."""
        self.held += memory
        self.peak = max(self.peak, self.held)


def _read(bill: _Bill, size_bytes: int, facts: Facts, draft: int) -> None:
    """Count the decoding of the first frame, which is kept."""
    pixels = facts.width * facts.height
    decoded = pixels / draft**2
    rate = _READING[facts.format]
    memory, time = rate.memory * decoded, rate.time * decoded
    file = rate.time_of_a_byte * size_bytes / facts.frames
    if facts.depth == 16:
        memory += _DEEP * decoded
    if draft > 1:
        time += _SKIPPING_TIME * pixels
    if facts.scans > 1:
        memory += _IN_SCANS.memory * pixels
        time += _IN_SCANS.time * pixels
        file = _IN_SCANS.time_of_a_byte * size_bytes
    bill.take(memory, time + file)
    bill.hold(_PIXEL * decoded)


def _still(bill: _Bill, facts: Facts, draft: int, work: Work) -> None:
    stored = facts.width / draft, facts.height / draft
    seen = _see(bill, facts, stored, work.window, 1)
    bill.hold(_PIXEL * seen)
    _operate(bill, work.ahead, 1)
    _write(bill, facts, work, 1)


def _play(bill: _Bill, size_bytes: int, facts: Facts, films: Sequence[Work]) -> None:
    """Count what becomes of all frames, of which only those that are finished are kept."""
    canvas, frames = facts.width * facts.height, facts.frames
    rate = _PLAYING[facts.format]
    bill.take(0, rate.time * canvas * frames + rate.time_of_a_byte * size_bytes)
    for film in films:
        bill.hold(_PIXEL * film.ahead.size[0] * film.ahead.size[1] * frames)
    held = bill.held
    bill.hold(rate.memory * canvas + sum(_kept(film.ahead) for film in films))
    for film in films:
        alone = bill.held
        seen = _see(bill, facts, (facts.width, facts.height), film.window, frames)
        bill.hold(_PIXEL * seen)
        _operate(bill, film.ahead, frames)
        bill.held = alone
    bill.held = held


def _see(
    bill: _Bill, facts: Facts, stored: tuple[float, float], window: Window, frames: int
) -> float:
    """Count what a window takes, and return how many pixels are seen through it."""
    seen = window.size[0] * window.size[1]
    left, top, right, bottom = window.box
    width, height = facts.size_as_shown
    within = (right - left) / width * stored[0] * (bottom - top) / height * stored[1]
    if window.scaled is not None:
        # First across, then down. What is far larger is averaged before, which is quick.
        between = min(within, seen * max(1, math.sqrt(within / seen)))
        nanoseconds = 2 * within + 12 * min(within, 4 * seen) + 14 * seen
        memory = _PIXEL * (seen + between)
        if facts.format != "jpeg":
            memory += _CLEAR.memory * within
            nanoseconds += _CLEAR.time * within
        bill.take(memory, nanoseconds * frames)
    bill.take(_CONVERTING.memory * seen, 0)
    return seen


def _operate(bill: _Bill, ahead: Foresight, frames: int) -> None:
    """Count all steps; of each, what it is given is counted by then."""
    for number, (step, before, after) in enumerate(ahead.stages):
        given = _PIXEL * before[0] * before[1] if number else 0
        pixels = _larger(before, after)
        bill.take(given + step.rate.memory * pixels, step.rate.time * pixels * frames)


def _kept(ahead: Foresight) -> float:
    """Return what steps are done with, and need for the next frame."""
    return sum(step.rate.kept * _larger(before, after) for step, before, after in ahead.stages)


def _larger(before: Size, after: Size) -> int:
    return max(before[0] * before[1], after[0] * after[1])


def _write(bill: _Bill, facts: Facts, work: Work, frames: int) -> None:
    """Count the writing of the result, in the format that takes the most."""
    pixels = work.ahead.size[0] * work.ahead.size[1]
    memory = time = 0.0
    for kind in work.kinds:
        needed, nanoseconds = _writing(work.output, kind, facts)
        if frames > 1 and kind in _FILMING:
            film = _FILMING[kind]
            needed = film.memory + film.for_a_frame * frames
            nanoseconds *= film.time * frames
        memory, time = max(memory, needed), max(time, nanoseconds)
    held = _PIXEL * pixels if work.ahead.stages and frames == 1 else 0
    bill.take(held + memory * pixels, time * pixels)


def _writing(output: Output, kind: Written, facts: Facts) -> tuple[float, float]:
    """Return the memory and the time that each pixel of a still takes."""
    writing = _WRITING[kind]
    if kind == "webp" and output.lossless:
        writing = _LOSSLESS_WEBP
    if kind == "png" and output.colors is not None:
        writing = _PALETTED_PNG
    memory, time = writing.memory, writing.times[(output.effort or USUAL_EFFORT) - 1]
    if writing is _WRITING["png"] and output.effort is None:
        time = _PHOTOGRAPH_AS_PNG
    if kind == "jpeg" and output.progressive:
        time = _PROGRESSIVE_JPEG
    if facts.format != "jpeg" and kind in _GROUNDING:
        memory, time = memory + _CLEAR.memory, time + _CLEAR.time
    compares = output.min_ssim is not None
    if compares or (output.expect and output.expect.min_ssim is not None):
        memory = max(memory, _READING[kind].memory + _COMPARING.memory)
        time += _READING[kind].time + _COMPARING.time
    searches = compares or output.max_bytes is not None
    has_quality = kind in QUALITIES and not (kind == "webp" and output.lossless)
    return memory, time * (_ATTEMPTS if searches and has_quality else 1)
