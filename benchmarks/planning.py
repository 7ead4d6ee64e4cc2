"""How near what a plan says of a render comes to what the render takes."""

from __future__ import annotations

import gc
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import get_args

from PIL import Image

from actors.imaging.cost import Cost
from actors.imaging.expect import Expect
from actors.imaging.facts import DEFAULT_LIMITS, Format
from actors.imaging.operations.covering import Background, Redact, Round
from actors.imaging.operations.cropping import Crop, Trim
from actors.imaging.operations.filters import Blur, Sharpen
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize, Thumbnail
from actors.imaging.operations.tones import Autocontrast, Saturation
from actors.imaging.operations.turning import Flip, Rotate
from actors.imaging.operations.watermark import Watermark
from actors.imaging.plan import foresee
from actors.imaging.recipe import Output, Recipe
from actors.imaging.render import render
from benchmarks.photos import clip, photograph, screenshot

_LIMITS = replace(DEFAULT_LIMITS, formats=frozenset(get_args(Format)))
_PAGE = os.sysconf("SC_PAGE_SIZE")


def planning() -> None:
    """Make everything of every picture, each in a process of its own, and compare."""
    ratios: list[tuple[float, float]] = []
    print("\npredicted, and as a multiple of what it took: memory in MB, time in ms of a core")
    with tempfile.TemporaryDirectory() as folder:
        _in_child(partial(_write_pictures, Path(folder)))
        for path in sorted(Path(folder).iterdir()):
            for name, recipe in _recipes(is_moving="clip" in path.name):
                said = Cost(*json.loads(_in_child(partial(_predicted, path, recipe))))
                took = Cost(*json.loads(_in_child(partial(_measured, path, recipe))))
                memory, seconds = said.memory / took.memory, said.seconds / took.seconds
                ratios.append((memory, seconds))
                print(
                    f"{path.name:22} {name:22} {said.memory / 1e6:6.1f} {memory:5.2f}"
                    f"   {said.seconds * 1e3:7.1f} {seconds:5.2f}"
                )
    memories, times = (sorted(column) for column in zip(*ratios, strict=True))
    enough = sum(ratio >= 1 for ratio in memories) / len(memories)
    close = sum(ratio <= 2 for ratio in memories) / len(memories)
    print(f"\n{len(ratios)} renders. Memory: enough in {enough:.0%}, at most twice in {close:.0%},")
    print(f"from {memories[0]:.2f} to {memories[-1]:.2f} of it, median {median(memories):.2f}.")
    for factor in (1.5, 2, 3):
        within = sum(1 / factor <= ratio <= factor for ratio in times) / len(times)
        print(f"Time: within a factor of {factor} in {within:.0%}.")
    print(f"From {times[0]:.2f} to {times[-1]:.2f} of it, median {median(times):.2f}.")


def _recipes(*, is_moving: bool) -> Iterator[tuple[str, Recipe]]:
    small = Thumbnail(800, 800)
    outputs = {
        "small": Output(operations=(small,)),
        "small to webp": Output(operations=(small,), format="webp"),
    }
    if is_moving:
        outputs |= {
            "as it is": Output(),
            "small to gif": Output(operations=(Thumbnail(200, 200),), format="gif"),
            "small to avif": Output(operations=(Thumbnail(200, 200),), format="avif"),
            "blurred": Output(operations=(Thumbnail(200, 200), Blur(2)), format="webp"),
            "one to jpeg": Output(operations=(Thumbnail(200, 200),), format="jpeg"),
        }
    else:
        outputs |= {
            "as jpeg": Output(format="jpeg"),
            "as png": Output(format="png"),
            "as webp": Output(format="webp"),
            "as avif": Output(format="avif", effort=1),
            "as gif": Output(format="gif"),
            "progressive": Output(operations=(small,), format="jpeg", progressive=True),
            "with a palette": Output(operations=(small,), format="png", colors=64),
            "without loss": Output(operations=(small,), format="webp", lossless=True),
            "min_ssim": Output(operations=(small,), format="webp", min_ssim=0.95),
            "max_bytes": Output(operations=(small,), format="jpeg", max_bytes=30_000),
            "expect": Output(operations=(small,), format="jpeg", expect=Expect(min_ssim=0.1)),
            "cover": Output(operations=(Resize(600, 600, "cover"),), format="jpeg"),
            "smart": Output(operations=(Resize(600, 600, "cover", "smart"),), format="jpeg"),
            "contain": Output(operations=(Resize(600, 600, "contain"),), format="png"),
            "crop": Output(operations=(Crop(x=100, y=100, width=300, height=300),), format="jpeg"),
            "trim": Output(operations=(Trim(),), format="jpeg"),
            "blur": Output(operations=(Blur(3),), format="jpeg"),
            "sharpen": Output(operations=(small, Sharpen()), format="jpeg"),
            "quarter": Output(operations=(Rotate(90),), format="jpeg"),
            "turned": Output(operations=(small, Rotate(10, "white")), format="jpeg"),
            "upside down": Output(operations=(Flip(),), format="jpeg"),
            "tones": Output(operations=(small, Autocontrast(), Saturation(1.2)), format="jpeg"),
            "round": Output(operations=(small, Round("10%")), format="png"),
            "flat": Output(operations=(Background("red"),), format="jpeg"),
            "redact": Output(operations=(Redact("10%", "10%", "20%", "20%"),), format="jpeg"),
            "marked": Output(operations=(small, Watermark(text="Calotype")), format="jpeg"),
            "padded": Output(operations=(small, Pad(top=50, left=50)), format="jpeg"),
            "facts": Output(format="json"),
        }
    for name, output in outputs.items():
        yield name, Recipe((output,))
    if not is_moving:
        widths = (1600, 800, 400, 200)
        sizes = (Output(name=str(w), operations=(Thumbnail(w, w),), format="jpeg") for w in widths)
        yield "four at once", Recipe(tuple(sizes))


def _write_pictures(folder: Path) -> str:
    photo, drawing = photograph(2400, 1800, 0.1), screenshot(2400, 1800)
    clear = photo.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    for name, image, kind, options in (
        ("photo", photo, "jpeg", {"quality": 90}),
        ("photo-progressive", photo, "jpeg", {"quality": 90, "progressive": True}),
        ("photo-444", photo, "jpeg", {"quality": 95, "subsampling": 0, "progressive": True}),
        ("photo-grey", photo.convert("L"), "jpeg", {"quality": 90}),
        ("photo-cmyk", photo.convert("CMYK"), "jpeg", {"quality": 85}),
        ("photo-large", photograph(5000, 4000, 0.1), "jpeg", {"quality": 88}),
        ("photo-tiny", photograph(640, 480, 0.1), "jpeg", {"quality": 88}),
        ("photo", photo, "png", {}),
        ("photo", photo, "webp", {"quality": 85}),
        ("photo", photo, "avif", {"quality": 75, "speed": 8}),
        ("photo", photo, "gif", {}),
        ("photo", photo, "tiff", {"compression": "tiff_deflate"}),
        ("clear", clear, "png", {}),
        ("clear", clear, "webp", {"quality": 85}),
        ("drawing", drawing, "png", {}),
        ("drawing", drawing, "jpeg", {"quality": 85}),
        ("drawing-paletted", drawing.convert("P"), "png", {}),
    ):
        image.save(folder / f"{name}.{kind}", **options)
    first, *others = clip(480, 360, 30)
    for kind in ("gif", "webp", "avif", "png"):
        file = folder / f"clip.{kind}"
        first.save(file, save_all=True, append_images=others, duration=50)
    return "null"


def _predicted(path: Path, recipe: Recipe) -> str:
    cost = foresee(path.read_bytes(), recipe, _LIMITS).cost
    return json.dumps((cost.memory, cost.seconds))


def _measured(path: Path, recipe: Recipe) -> str:
    gc.collect()
    # From here on the kernel notes the most memory at once anew.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    begun = time.process_time()
    render(path.read_bytes(), recipe, _LIMITS)
    seconds = time.process_time() - begun
    return json.dumps((_most_memory() - before, seconds))


def _most_memory() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("Linux tells it")


def _in_child(work: Callable[[], str]) -> str:
    """Return what `work` returns, from a process that has done nothing else.

    This one must not either: what it has freed its children would use again.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, work().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said
