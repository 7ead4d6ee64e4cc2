"""Costs: what a render takes, told before, and held against what it takes."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from actors.imaging.facts import DEFAULT_LIMITS
from actors.imaging.operations.covering import Round
from actors.imaging.operations.cropping import Trim
from actors.imaging.operations.filters import Blur
from actors.imaging.operations.scaling import Resize, Thumbnail
from actors.imaging.operations.watermark import Watermark
from actors.imaging.plan import foresee
from actors.imaging.recipe import Output, Recipe, encode_recipe
from tests.imaging.pictures import photograph, written

SMALL = Output(operations=(Thumbnail(100, 100),), format="jpeg")

# What nothing else has freed before is taken anew, and the kernel notes the most there was.
MEASURE = """
import os, sys
from pathlib import Path
from actors.imaging.recipe import decode_recipe
from actors.imaging.render import render

def told(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024

recipe = decode_recipe(sys.argv[2])
before = told("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
render(Path(sys.argv[1]).read_bytes(), recipe)
print(told("VmHWM") - before)
"""


def cost(data: bytes, *outputs: Output):
    return foresee(data, Recipe(outputs), DEFAULT_LIMITS).cost


def taken(directory: Path, data: bytes, *outputs: Output) -> int:
    """How much memory a process takes in which nothing else is done."""
    file = directory / "original"
    file.write_bytes(data)
    run = [sys.executable, "-c", MEASURE, str(file), encode_recipe(Recipe(outputs))]
    return int(subprocess.run(run, check=True, capture_output=True, text=True).stdout)


@cache
def large(kind: str) -> bytes:
    return written(photograph(1500, 1000), kind)


@cache
def moving() -> bytes:
    frames = [photograph(400, 400, seed) for seed in range(10)]
    return written(frames[0], "gif", save_all=True, append_images=frames[1:])


@pytest.fixture(scope="module")
def photo() -> bytes:
    return large("jpeg")


@pytest.fixture(scope="module")
def clear() -> bytes:
    return written(photograph(1500, 1000).convert("RGBA"), "png")


@pytest.mark.parametrize("source", ["jpeg", "png", "webp", "gif"])
@pytest.mark.parametrize(
    "output",
    [
        SMALL,
        Output(format="png"),
        Output(format="webp"),
        Output(operations=(Blur(3), Trim(), Resize("120%", "120%")), format="jpeg"),
    ],
    ids=["small", "png", "webp", "steps"],
)
def test_a_render_takes_no_more_memory_than_was_said(source, output, tmp_path):
    said = cost(large(source), output).memory
    took = taken(tmp_path, large(source), output)

    assert took <= said <= 4_000_000 + 3 * took


MARKS = 32 * (Watermark(text="█", scale=1, opacity=0.1),)


@pytest.mark.parametrize(
    "steps", [MARKS, MARKS[:1], 32 * (Round("50%"),)], ids=["marks", "mark", "round"]
)
def test_what_a_step_is_done_with_is_gone_before_the_next_one(steps, photo, tmp_path):
    outputs = [Output(name=name, operations=steps, format="png") for name in ("one", "other")]

    said = cost(photo, *outputs).memory
    took = taken(tmp_path, photo, *outputs)

    assert took <= said <= 4_000_000 + 3 * took


@pytest.mark.parametrize("steps", [MARKS, 32 * (Round("50%"),)], ids=["marks", "round"])
@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_what_steps_are_done_with_is_there_for_all_frames(kind, steps, tmp_path):
    outputs = [Output(name=name, operations=steps, format=kind) for name in ("one", "other")]

    said = cost(moving(), *outputs).memory
    took = taken(tmp_path, moving(), *outputs)

    assert took <= said <= 4_000_000 + 3 * took


def test_a_larger_picture_takes_more(photo):
    small = written(photograph(300, 200), "jpeg")

    assert cost(small, SMALL).memory < cost(photo, SMALL).memory
    assert cost(small, SMALL).seconds < cost(photo, SMALL).seconds


def test_a_jpeg_at_a_fraction_takes_less(photo):
    whole = Output(operations=(Thumbnail(1490, 1490),), format="jpeg")

    assert cost(photo, SMALL).memory < cost(photo, whole).memory / 4


def test_a_second_output_of_one_decode_takes_less_than_another_render(clear):
    twice = cost(clear, SMALL, Output(name="other", operations=SMALL.operations, format="jpeg"))

    assert cost(clear, SMALL).seconds < twice.seconds < 1.9 * cost(clear, SMALL).seconds
    assert twice.memory < 1.1 * cost(clear, SMALL).memory


def test_a_quality_that_is_searched_for_is_written_several_times(photo):
    once = cost(photo, Output(format="webp"))
    searched = cost(photo, Output(format="webp", max_bytes=10_000))

    assert searched.seconds > 3 * once.seconds
    assert searched.memory == once.memory


def test_what_has_no_quality_is_written_once(photo):
    once = Output(format="png")
    searched = Output(format="png", max_bytes=10_000)

    assert cost(photo, searched) == cost(photo, once)


def test_every_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (200, 200), (shade, 0, 0)) for shade in range(20)]
    shades = written(frames[0], "gif", save_all=True, append_images=frames[1:])

    all_of_it, first = Output(format="webp"), Output(format="webp", animation="first")

    assert cost(shades, all_of_it).seconds > 15 * cost(shades, first).seconds
    assert cost(shades, all_of_it).memory > cost(shades, first).memory + 19 * 4 * 200 * 200


def test_of_formats_to_choose_from_the_dearest_counts(photo):
    auto = cost(photo, Output(format="auto", accepts=("avif", "webp", "jpeg")))

    assert auto == cost(photo, Output(format="avif"))


def test_a_trim_counts_as_if_nothing_were_cut_away(photo):
    rest = Output(operations=(Trim(), Blur(1)), format="png")

    assert cost(photo, rest).seconds > cost(photo, Output(operations=(Blur(1),))).seconds
