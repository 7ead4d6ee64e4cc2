"""A render process as it lives: bounded, without secrets, and never longer than the service."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

import actors.rendering.child
from actors.imaging.errors import ImageTooLarge, TimedOut
from actors.imaging.facts import DEFAULT_LIMITS
from actors.imaging.operations.filters import Blur
from actors.imaging.operations.scaling import Resize
from actors.imaging.recipe import Output, Recipe, encode_recipe
from actors.priority import NICENESS
from actors.rendering.memory import Memory
from actors.rendering.process import Finished, start_process
from actors.rendering.protocol import Duty, in_memory
from tests.conftest import PATIENCE, THUMBNAIL, draw
from tests.rendering.children import children, is_child

ROOT = Path(__file__).parent.parent.parent
SMALL = encode_recipe(THUMBNAIL)
LONG = encode_recipe(Recipe((Output(operations=(Resize(3000, 3000), *(30 * [Blur(100)]))),)))
LARGE = encode_recipe(Recipe((Output(operations=(Resize(4096, 4096), Blur(1)), format="png"),)))


async def begin(environment=None, seconds=60):
    return await start_process(Duty(DEFAULT_LIMITS, seconds), environment or {})


async def once(process, recipe=SMALL, seconds=60.0):
    return await process.render(in_memory(draw()), recipe, {}, Memory(2**30), seconds)


async def test_who_calculates_for_too_long_is_ended_by_the_kernel():
    process = await begin(seconds=1)
    there = await once(process, LONG, seconds=77)
    await process.end()

    assert isinstance(there, TimedOut)
    assert process._process.returncode == -signal.SIGXCPU


async def test_the_time_of_each_render_is_counted_anew():
    process = await begin(seconds=2)
    # Far less than two seconds each, and more together.
    short = encode_recipe(Recipe((Output(operations=(Resize(800, 800), *(6 * [Blur(100)]))),)))
    for _ in range(12):
        assert isinstance(await once(process, short), Finished)
    await process.end()


BOUND = """
import sys
from actors.rendering import child
child.SURPLUS, child.SLACK = 0, {slack}
sys.argv = ["child", *sys.argv[1:]]
child.main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
"""


async def test_who_takes_far_more_memory_than_it_said_is_told_so_and_lives_on(monkeypatch):
    program = BOUND.format(slack=16 * 2**20)
    monkeypatch.setattr(actors.rendering.process, "COMMAND", (sys.executable, "-c", program))
    process = await begin()
    there = await once(process, LARGE)
    again = await once(process)
    is_free = process.is_free
    await process.end()

    assert isinstance(there, ImageTooLarge)
    assert str(there) == "The image needs more memory than there is."
    assert isinstance(again, Finished)
    assert is_free


def told(process, name):
    """Return what the kernel tells of a process."""
    return Path(f"/proc/{process.pid}/{name}").read_bytes()


def opened(process):
    """Return what a process has open, in order of the numbers."""
    files = Path(f"/proc/{process.pid}/fd").iterdir()
    return [str(each.readlink()) for each in sorted(files, key=lambda file: int(file.name))]


async def test_it_is_the_first_to_go_when_memory_runs_out_and_gives_way():
    process = await begin()
    score, niceness = told(process, "oom_score_adj"), os.getpriority(os.PRIO_PROCESS, process.pid)
    await process.end()

    assert int(score) == 1000
    assert niceness >= NICENESS


async def test_it_knows_nothing_of_the_environment_but_what_it_is_told(monkeypatch):
    monkeypatch.setenv("CALOTYPE_KEY", "secret")
    process = await begin({"LD_LIBRARY_PATH": "/nowhere"})
    environment, command = told(process, "environ"), told(process, "cmdline")
    await process.end()

    names = {each.partition(b"=")[0] for each in environment.split(b"\0") if each}
    assert names == {b"PYTHONPATH", b"LD_LIBRARY_PATH"}
    assert b"secret" not in environment + command


async def test_it_has_nothing_open_but_its_line_its_lifeline_and_its_sizes():
    process = await begin()
    *standard, line, lifeline, sizes = opened(process)
    await process.end()

    assert standard == 3 * ["/dev/null"]
    others = line, lifeline, sizes
    kinds = [each.partition(":")[0] for each in others]
    assert sorted(kinds) == [f"/proc/{process.pid}/statm", "socket", "socket"]


SERVICE = f"""
import sys, trio
from actors.rendering.protocol import in_memory
from actors.rendering.renderer import Rendering, open_renderer
from tests.conftest import draw

async def main():
    async with open_renderer(Rendering(renders=2)) as renderer, trio.open_nursery() as nursery:
        async with trio.open_nursery() as beginning:
            for _ in range(2):
                beginning.start_soon(renderer.render, in_memory(draw()), {SMALL!r})
        if "busy" in sys.argv:
            for _ in range(2):
                nursery.start_soon(renderer.render, in_memory(draw()), {LONG!r})
            await trio.sleep(0.3)
        print("ready", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.parametrize("state", ["busy", "idle"])
def test_all_of_them_end_with_the_service_however_it_ends(state):
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE, state],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    with service:
        assert service.stdout
        lines = iter(service.stdout.readline, b"")
        assert any(line == b"ready\n" for line in lines)
        begun = children(service.pid)
        service.kill()
    killed = time.monotonic()
    while any(map(is_child, begun)):
        assert time.monotonic() - killed < PATIENCE
        time.sleep(0.01)

    assert len(begun) == 2


async def test_one_that_begins_when_the_service_has_gone_ends_at_once():
    line, lifeline = os.pipe(), os.pipe()
    os.close(lifeline[1])
    with trio.fail_after(PATIENCE):
        ended = await trio.run_process(
            [sys.executable, "-m", "actors.rendering.child", str(line[0]), str(lifeline[0]), "{}"],
            pass_fds=(line[0], lifeline[0]),
            env={"PYTHONPATH": str(ROOT)},
            capture_stderr=True,
            check=False,
        )
    for number in (*line, lifeline[0]):
        os.close(number)

    assert ended.returncode == 1
    assert ended.stderr == b"The service has gone.\n"
