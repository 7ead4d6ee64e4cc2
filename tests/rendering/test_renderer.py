"""A renderer ends every render, whatever becomes of the processes."""

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
import trio.testing

import actors.rendering.process
from actors.errors import NoRenderProcess
from actors.imaging.errors import ImageError, ImageTooLarge, ImagingCrashed, TimedOut
from actors.imaging.facts import Limits
from actors.imaging.operations.cropping import Crop
from actors.imaging.operations.filters import Blur
from actors.imaging.operations.scaling import Resize
from actors.imaging.recipe import Output, Recipe, encode_recipe
from actors.imaging.render import render
from actors.rendering.process import ADVANCE, Finished, RenderDied
from actors.rendering.protocol import in_memory
from actors.rendering.renderer import Rendering, open_renderer
from tests.conftest import PATIENCE, THUMBNAIL, draw
from tests.rendering.children import children, paused, state, until_at_work

SMALL = encode_recipe(THUMBNAIL)
# Steps, of which each takes very little.
MANY = encode_recipe(Recipe((Output(operations=(Resize(200, 200), *(30 * [Blur(20)]))),)))
# Some seconds of work, in steps that are much shorter.
LONG = encode_recipe(Recipe((Output(operations=(Resize(1500, 1500), *(30 * [Blur(100)]))),)))
LARGE = encode_recipe(Recipe((Output(operations=(Resize(4000, 4000), Blur(1))),)))


def once(renderer, recipe=SMALL, image=None):
    return renderer.render(in_memory(image or draw()), recipe)


@pytest.fixture
async def alone():
    """One process of the test's own, which has begun."""
    async with open_renderer(Rendering(renders=1)) as renderer:
        await once(renderer)
        yield renderer


def processes(renderer):
    return [process.pid for process in renderer._idle]


# --- What is wrong with an image ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "recipe"),
    [
        (b"la la la", THUMBNAIL),
        (draw()[:-300], THUMBNAIL),
        (b"8BPS\0\1" + bytes(100), THUMBNAIL),
        (draw(), Recipe((Output(operations=(Crop(x=60, y=0, width=10, height=10),)),))),
    ],
    ids=["song", "truncated", "photoshop", "beyond"],
)
async def test_what_is_wrong_with_an_image_is_told_as_it_is_here(renderer, image, recipe):
    with pytest.raises(ImageError) as here:
        render(image, recipe, renderer.limits)

    there = await once(renderer, encode_recipe(recipe), image)

    assert isinstance(there, ImageError)
    assert (there.code, str(there)) == (here.value.code, str(here.value))


async def test_the_limits_hold_there():
    async with open_renderer(Rendering(renders=1, limits=Limits(max_pixels=999))) as renderer:
        there = await once(renderer)

    assert isinstance(there, ImageTooLarge)
    assert "999" in str(there)


async def test_a_bug_comes_with_where_it_is(renderer):
    there = await once(renderer, "{")

    assert isinstance(there, ImagingCrashed)
    (bug,) = there.__notes__
    assert "Traceback" in bug
    assert "decode_recipe" in bug


# --- Time -----------------------------------------------------------------------------------------


async def test_who_takes_too_long_is_ended():
    async with open_renderer(Rendering(renders=1, seconds=0.3)) as renderer:
        await once(renderer)
        begun = time.monotonic()
        with paused() as pids:
            there = await once(renderer)
        seconds = time.monotonic() - begun
        again = await once(renderer)

    assert isinstance(there, TimedOut)
    assert str(there) == "It took longer than 0.3 seconds."
    assert 0.3 <= seconds < PATIENCE
    assert [state(pid) for pid in pids if pid not in children()] != []
    assert isinstance(again, Finished)


async def test_to_wait_for_a_place_takes_no_time_of_the_render(alone):
    async with alone.places, trio.open_nursery() as nursery:
        nursery.start_soon(once, alone)
        await trio.testing.wait_all_tasks_blocked()
        waiting = alone.places.statistics().tasks_waiting
        nursery.cancel_scope.cancel()

    assert waiting == 1


@pytest.mark.parametrize("listens", [True, False])
async def test_a_render_that_is_cancelled_stops_within_a_second(alone, listens):
    (pid,) = processes(alone)

    async def work():
        with scope:
            await once(alone, LONG)
        ended.set()

    scope, ended = trio.CancelScope(), trio.Event()
    async with trio.open_nursery() as nursery:
        if not listens:
            os.kill(pid, signal.SIGSTOP)
        nursery.start_soon(work)
        await until_at_work(alone)
        await trio.sleep(0.2)
        begun = time.monotonic()
        scope.cancel()
        await ended.wait()
    seconds = time.monotonic() - begun
    again = await once(alone)

    assert seconds < PATIENCE
    assert isinstance(again, Finished)
    if not listens:
        assert state(pid) == ""
        assert processes(alone) != [pid]


# --- Death ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_process_that_dies_at_work_costs_its_render_and_nothing_else(alone, number):
    heard = []

    async def work():
        with pytest.raises(RenderDied) as died:
            await once(alone)
        heard.append(died.value)

    (pid,) = processes(alone)
    os.kill(pid, signal.SIGSTOP)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await until_at_work(alone)
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)

    assert [died.code for died in heard] == [-number]
    assert isinstance(await once(alone), Finished)
    assert processes(alone) != [pid]


async def test_an_idle_process_that_died_is_replaced_unnoticed(alone):
    (pid,) = processes(alone)
    os.kill(pid, signal.SIGKILL)
    with trio.fail_after(PATIENCE):
        while state(pid) != "Z":
            await trio.testing.wait_all_tasks_blocked(0.001)

    assert isinstance(await once(alone), Finished)
    assert state(pid) == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_the_whole_service_is_sent_ends_no_process(alone, number):
    (pid,) = processes(alone)

    os.kill(pid, number)

    assert isinstance(await once(alone), Finished)
    assert processes(alone) == [pid]


async def test_a_process_is_replaced_after_so_many_renders():
    seen = []
    async with open_renderer(Rendering(renders=1, renders_per_process=2)) as renderer:
        for _ in range(5):
            await once(renderer)
            seen += processes(renderer)

    assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4]
    assert [state(pid) for pid in seen] == 5 * [""]


async def test_when_it_is_closed_no_process_is_left():
    before = children()
    async with open_renderer(Rendering(renders=2)) as renderer, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(once, renderer)
        with trio.fail_after(PATIENCE):
            while len(children() - before) < 2:
                await trio.testing.wait_all_tasks_blocked(0.01)
    assert children() == before


async def test_as_many_processes_as_places_are_begun_and_then_kept(renderer):
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(once, renderer)

    assert len(processes(renderer)) == renderer.places.total_tokens


# --- Memory ---------------------------------------------------------------------------------------


async def test_what_never_fits_is_refused_and_begun_by_nobody():
    async with open_renderer(Rendering(renders=1, memory=ADVANCE)) as renderer:
        there = await once(renderer, LARGE)
        again = await once(renderer)
        (pid,) = processes(renderer)
        lent = renderer.memory.lent

    assert isinstance(there, ImageTooLarge)
    assert "at most 67 MB are allowed" in str(there)
    assert isinstance(again, Finished)
    assert pid
    assert lent == 0


async def test_who_waits_for_memory_listens():
    async with open_renderer(Rendering(renders=1, memory=3 * ADVANCE)) as alone:
        await once(alone)
        with alone.memory.advance(3 * ADVANCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(once, alone, LONG)
                with trio.fail_after(PATIENCE):
                    while not alone.memory.waiting:
                        await trio.testing.wait_all_tasks_blocked(0.01)
                begun = time.monotonic()
                nursery.cancel_scope.cancel()
            seconds = time.monotonic() - begun
        kept = processes(alone)
        again = await once(alone)

    assert seconds < 0.5
    assert len(kept) == 1
    assert isinstance(again, Finished)


# --- What it costs --------------------------------------------------------------------------------


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_renders_leave_no_descriptor_and_no_process(alone):
    before = descriptors(), children()
    for number in range(200):
        await once(alone, SMALL if number % 4 else "{")

    assert (descriptors(), children()) == before


async def test_renders_that_fail_leave_no_descriptor_and_no_process(alone):
    before = descriptors(), len(children())
    for number in range(25):
        await once(alone, image=b"la la la")
        with trio.move_on_after(0.01 * (number % 3)):
            await once(alone, MANY)
    for _ in range(3):
        with paused(), trio.move_on_after(0.01):
            await once(alone)
        await once(alone)

    assert (descriptors(), len(children())) == before
    assert "Z" not in {state(pid) for pid in children()}


# --- No process -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("/nowhere/python",),
        (sys.executable, "-c", "raise SystemExit(3)"),
        (sys.executable, "-s", "-P", "-m", "actors.nowhere"),
    ],
    ids=["nothing", "leaves", "modules"],
)
async def test_a_process_that_does_not_begin_is_told_and_costs_nothing(monkeypatch, command):
    monkeypatch.setattr(actors.rendering.process, "COMMAND", command)
    before = descriptors(), children()
    async with open_renderer(Rendering(renders=1)) as renderer:
        for _ in range(3):
            with pytest.raises(NoRenderProcess):
                await once(renderer)
        places = renderer.places.borrowed_tokens

    assert places == 0
    assert (descriptors(), children()) == before


async def test_a_process_that_never_is_ready_is_given_up(monkeypatch):
    sleeping = (sys.executable, "-c", "import time; time.sleep(60)")
    monkeypatch.setattr(actors.rendering.process, "COMMAND", sleeping)
    monkeypatch.setattr(actors.rendering.process, "START", 0.3)
    async with open_renderer(Rendering(renders=1)) as renderer:
        with pytest.raises(NoRenderProcess):
            await once(renderer)


async def test_who_is_cancelled_while_a_process_begins_leaves_none(monkeypatch):
    sleeping = (sys.executable, "-c", "import time; time.sleep(60)")
    monkeypatch.setattr(actors.rendering.process, "COMMAND", sleeping)
    before = descriptors(), children()
    async with open_renderer(Rendering(renders=1)) as renderer:
        with trio.move_on_after(0.2):
            await once(renderer)

    assert (descriptors(), children()) == before


WITHOUT_DESCRIPTORS = """
import os, resource, trio
from actors.errors import NoRenderProcess
from actors.imaging.recipe import encode_recipe
from actors.rendering.process import RenderDied
from actors.rendering.protocol import in_memory
from actors.rendering.renderer import Rendering, open_renderer
from tests.conftest import THUMBNAIL, draw

async def main():
    heard = set()
    async with open_renderer(Rendering(renders=1)) as renderer:
        recipe = encode_recipe(THUMBNAIL)
        await renderer.render(in_memory(draw()), recipe)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for warm in (True, False):
            for spare in range(12):
                image = in_memory(draw())
                used = max(map(int, os.listdir("/proc/self/fd")))
                resource.setrlimit(resource.RLIMIT_NOFILE, (used + spare, hard))
                try:
                    await renderer.render(image, recipe)
                except (NoRenderProcess, RenderDied) as error:
                    heard.add(type(error).__name__)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
                if not warm:
                    for process in renderer._idle:
                        await process.end()
        await renderer.render(in_memory(draw()), recipe)
    print(*sorted(heard))

trio.run(main)
"""


def test_who_has_no_descriptor_left_is_told_that_there_is_no_process():
    root = Path(__file__).parent.parent.parent
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS],
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert told.returncode == 0, told.stderr
    assert "NoRenderProcess" in told.stdout.splitlines()[-1]
