"""What a render takes, beside others that make the same of the same picture.

All run in turn in one thread of one process; what counts is the processor time of the process,
which other programs disturb less than they do the clock.
"""

from __future__ import annotations

import ctypes
import gc
import io
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from PIL import Image

from actors.imaging.operations.scaling import Resize, Thumbnail
from actors.imaging.recipe import Output, Recipe
from actors.imaging.render import keep_memory, render
from actors.imaging.ssim import ssim
from benchmarks import rivals
from benchmarks.photos import clip, photo, photograph, screenshot, written

if TYPE_CHECKING:
    from benchmarks.rivals import Rival

Size = tuple[int, int]
Contenders = Mapping[str, Callable[[], object]]

# What is quicker than this is run several times for one measurement.
_SHORTEST = 0.15
# However long they take.
_FEWEST_TURNS = 5

# Names and bounds of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20

_LARGE, _SMALL = (1600, 1200, 800, 400, 200), (800, 600, 400, 200, 100)


@dataclass(frozen=True, slots=True)
class Case:
    """A picture, what it is to become, and who else makes it."""

    name: str
    data: bytes
    size: Size
    rivals: Mapping[str, Rival]


def imaging(seconds: float) -> None:
    """Compare a render with bare Pillow, naive Pillow and libvips, and print by how much.

    Each picture takes about so many seconds.
    """
    _settle()
    print("\nspeed of our render as a multiple of theirs: median (and quarters) of the turns")
    if not rivals.has_libvips():
        print("without libvips: there is no pyvips")
    for case in cases():
        makers = {"ours": _ours} | {
            name: make
            for name, make in case.rivals.items()
            if name != "libvips" or rivals.has_libvips()
        }
        times = in_turn(
            {name: partial(make, case.data, case.size) for name, make in makers.items()}, seconds
        )
        exact = _exact(case)
        print(f"\n{case.name}")
        for name, make in makers.items():
            told = f"{median(times[name]) * 1e3:6.1f} ms  {_ratio(times[name], times['ours'])}"
            print(f"  {name:13} {told}  {_like(make(case.data, case.size), exact)}")


def outputs(seconds: float) -> None:
    """Compare five outputs of one picture with five renders of it, for about so many seconds."""
    _settle()
    print("\ntime of five outputs as a share of that of five renders: median (and quarters)")
    jpeg = photo(4000, 3000, 88, 0.1)
    png = written(photograph(2400, 1800, 0.1), "PNG")
    webp = written(photograph(4000, 3000, 0.1), "WEBP", quality=85)
    for name, data, widths in (
        ("JPEG, 12 MP", jpeg, _LARGE),
        ("JPEG, 12 MP", jpeg, _SMALL),
        ("PNG, 4 MP", png, _LARGE),
        ("WebP, 12 MP", webp, _LARGE),
    ):
        singles = [_scaled(width) for width in widths]
        together = Recipe(tuple(output for single in singles for output in single.outputs))
        contenders: Contenders = {
            "five renders": partial(_each, data, singles),
            "five outputs": partial(render, data, together),
        }
        times = in_turn(contenders, seconds)
        said = " ".join(map(str, widths))
        print(f"  {name:11} to {said:22} {_ratio(times['five outputs'], times['five renders'])}")


def _each(data: bytes, recipes: list[Recipe]) -> None:
    for recipe in recipes:
        render(data, recipe)


def _settle() -> None:
    """Have memory stay with the process, for all alike.

    Whether the C library gives it back after each picture, to be cleared by the system for the
    next one, depends on what was done before, and is a quarter of the time of a WebP.
    """
    keep_memory(1)
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_TRIM_THRESHOLD, 8 * _LARGEST_MMAP_THRESHOLD)
    libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)


def cases() -> Iterator[Case]:
    """Yield what is compared, each at the quality that we write without being asked."""
    for name, source, quality, size in (
        ("JPEG, 12 MP", (4000, 3000), 88, (800, 600)),
        ("JPEG, 2 MP", (1632, 1224), 90, (300, 225)),
    ):
        yield Case(
            f"{name} to {size[0]}x{size[1]}",
            photo(*source, quality, 0.1),
            size,
            {
                "bare Pillow": rivals.bare("JPEG", quality=90),
                "naive Pillow": rivals.naive("JPEG", quality=90),
                # Left to itself, it writes all colours from this quality on.
                "libvips": rivals.libvips(".jpg", Q=90, subsample_mode="on"),
            },
        )
    # Left to itself, libvips does not filter, and its photographs are a third larger.
    for name, image, options, libvips in (
        (
            *("PNG, screenshot of 3.7 MP", screenshot(2560, 1440), {"compress_level": 3}),
            rivals.libvips(".png"),
        ),
        (
            *("PNG, photo of 4 MP", photograph(2400, 1800, 0.1), {"compress_type": 3}),
            rivals.libvips(".png", filter="all", compression=3),
        ),
    ):
        size = 800, 800 * image.height // image.width
        yield Case(
            f"{name} to {size[0]}x{size[1]}",
            written(image, "PNG"),
            size,
            {
                "bare Pillow": rivals.bare("PNG", **options),
                "naive Pillow": rivals.naive("PNG"),
                "libvips": libvips,
            },
        )
    still = photograph(2400, 1800, 0.05)
    yield Case(
        "WebP, photo of 4 MP to 800x600",
        written(still, "WEBP", quality=85),
        (800, 600),
        {
            "bare Pillow": rivals.bare("WEBP", quality=90),
            "naive Pillow": rivals.naive("WEBP", quality=90),
            "libvips": rivals.libvips(".webp", Q=90),
        },
    )
    yield Case(
        "AVIF, photo of 4 MP to 800x600",
        written(still, "AVIF", quality=70, speed=8),
        (800, 600),
        {
            "bare Pillow": rivals.bare("AVIF", quality=75, speed=8, max_threads=1),
            "naive Pillow": rivals.naive("AVIF", quality=75),
            # Its effort of 1 is the encoder's speed of 8.
            "libvips": rivals.libvips(".avif", Q=75, effort=1),
        },
    )
    first, *others = clip(480, 360, 40)
    moving = {"save_all": True, "append_images": others, "duration": 50, "loop": 0}
    yield Case(
        "GIF, 40 frames of 480x360 to 240x180",
        written(first, "GIF", **moving),
        (240, 180),
        {
            "bare Pillow": rivals.bare_clip(duration=50, loop=0, optimize=False),
            "naive Pillow": rivals.naive_clip(duration=50, loop=0),
            # Its colours are found by another program, which is slow and good.
            "libvips": rivals.libvips(".gif", load="n=-1", effort=1, dither=0.0),
        },
    )


def in_turn(contenders: Contenders, seconds: float) -> dict[str, list[float]]:
    """Return what each took at each turn, in seconds of processor time.

    Who is first changes from turn to turn. There are as many as fit into so many seconds, or a few.
    """
    once = {name: _taken(make, 1) for name, make in contenders.items()}
    often = {name: max(1, round(_SHORTEST / taken)) for name, taken in once.items()}
    turns = round(seconds / sum(once[name] * (1 + often[name]) for name in contenders))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(max(_FEWEST_TURNS, turns)):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(_taken(contenders[name], often[name]))
    return times


def _taken(make: Callable[[], object], times: int) -> float:
    # First it clears away what the one before has left in the caches and in the memory, which
    # makes a difference of 5 %.
    make()
    gc.collect()
    begun = time.process_time()
    for _ in range(times):
        make()
    return (time.process_time() - begun) / times


def _ratio(one: list[float], other: list[float]) -> str:
    ratios = sorted(a / b for a, b in zip(one, other, strict=True))
    quarter = len(ratios) // 4
    return f"{median(ratios):5.2f} ({ratios[quarter]:.2f} to {ratios[-1 - quarter]:.2f})"


def _ours(data: bytes, size: Size) -> bytes:
    return render(data, Recipe((Output(operations=(Resize(*size),)),)))[0].data


def _scaled(width: int) -> Recipe:
    return Recipe((Output(name=str(width), format="jpeg", operations=(Thumbnail(width, width),)),))


def _exact(case: Case) -> Image.Image:
    """Return the first frame as it should be: from every pixel of the original, without loss."""
    with Image.open(io.BytesIO(case.data)) as image:
        return image.convert("RGB").resize(case.size, Image.Resampling.LANCZOS)


def _like(data: bytes, exact: Image.Image) -> str:
    with Image.open(io.BytesIO(data)) as image:
        likeness = ssim(exact, image.convert("RGB"))
    return f"{len(data) / 1e3:.0f} kB, SSIM {likeness:.4f}"
