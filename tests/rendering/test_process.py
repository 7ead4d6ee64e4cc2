"""A process that strangers have taken over can end its own render, and do nothing else."""

import gc
import os
import sys

import pytest
import trio

import actors.rendering.process
from actors.errors import NoRenderProcess
from actors.imaging.errors import ImageError
from actors.imaging.facts import DEFAULT_LIMITS
from actors.imaging.recipe import Output, Recipe, encode_recipe
from actors.rendering.memory import Memory
from actors.rendering.process import ERRORS, Finished, RenderDied, start_process
from actors.rendering.protocol import Duty, in_memory
from tests.conftest import PATIENCE, THUMBNAIL, draw

# It is a process that says what it likes; `answer` is what it does once it has an order.
FAKE = """
import os, socket, sys, time
line = socket.socket(fileno=int(sys.argv[1]))

def file(data):
    number = os.memfd_create("x")
    os.write(number, data)
    return number

def huge(size):
    number = os.memfd_create("x")
    os.truncate(number, size)
    return number

def say(text, *files):
    socket.send_fds(line, [text], files)

def hear():
    return socket.recv_fds(line, 5000, 50)[0]

TOLD = (b'[{"name": "output", "format": "png", "width": 1, "height": 1, "frames": 1,'
        b' "quality": null, "ssim": null, "operations": []}]')
RENDERED = b'{"type": "Rendered", "seconds": 1, "image": "1a", "others": {}}'
FAILED = b'{"type": "Failed", "code": "not_an_image"}'
"""
READY = 'say(b\'{"type": "Ready", "means": []}\')\n'
STAY = "\nwhile hear(): pass\n"


@pytest.fixture
def fake(monkeypatch):
    """Begin a process that answers an order so."""

    async def begin(answer, ready=READY):
        program = FAKE + ready + "hear()\n" + answer + STAY
        monkeypatch.setattr(actors.rendering.process, "COMMAND", (sys.executable, "-c", program))
        with trio.fail_after(PATIENCE):
            return await start_process(Duty(DEFAULT_LIMITS, 60), {})

    return begin


async def once(process, memory=None, seconds=60.0):
    with trio.fail_after(PATIENCE):
        recipe = encode_recipe(THUMBNAIL)
        return await process.render(in_memory(draw()), recipe, {}, memory or Memory(2**30), seconds)


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


async def test_the_fake_can_answer_as_it_should(fake):
    process = await fake("say(RENDERED, file(TOLD), file(b'picture'))")
    finished = await once(process)
    is_free = process.is_free
    await process.end()

    assert isinstance(finished, Finished)
    assert finished.made[0].data == b"picture"
    assert is_free


@pytest.mark.parametrize("code", ERRORS)
async def test_every_error_of_an_image_is_told_with_its_text(fake, code):
    process = await fake(
        f'say(b\'{{"type": "Failed", "code": "{code}"}}\', file(b\'Why.\'), file(b\'bug\'))'
    )
    error = await once(process)
    await process.end()

    assert isinstance(error, ImageError)
    assert (error.code, str(error), error.__notes__) == (code, "Why.", ["bug"])


FAILED = 'say(b\'{"type": "Failed", "code": "crashed"}\', '
NONSENSE = {
    "rubbish": "say(b'rubbish')",
    "no json": "say(bytes([255] * 100))",
    "long": "say(b'[' * 60000)",
    "deep": "say(b'{\"a\":' * 700)",
    "unknown message": "say(b'{\"type\": \"Pickle\"}')",
    "ready again": READY.strip(),
    "stopped unasked": "say(b'{\"type\": \"Stopped\"}')",
    "unknown code": 'say(b\'{"type": "Failed", "code": "nonsense"}\', file(b""), file(b""))',
    "no reasons": FAILED.rstrip(", ") + ")",
    "one reason": FAILED + "file(b'why'))",
    "reason no text": FAILED + "file(bytes([255])), file(b''))",
    "long reason": FAILED + "huge(10**9), file(b''))",
    "a reason without end": FAILED + "line.fileno(), file(b''))",
    "nothing made": "say(RENDERED)",
    "not what it says": "say(RENDERED, file(TOLD))",
    "more than it says": "say(RENDERED, file(TOLD), file(b''), file(b''))",
    "too large": "say(RENDERED, file(TOLD), huge(2**31))",
    "too large together": "say(RENDERED, file(TOLD), huge(2**29), huge(2**29), huge(2**29))",
    "long list": "say(RENDERED, huge(2**28), file(b''))",
    "no list": "say(RENDERED, file(b'la la la'), file(b''))",
    "deep list": "say(RENDERED, file(b'[{\"a\":' + b'[' * 100000), file(b''))",
    "name": "say(RENDERED, file(TOLD.replace(b'output', b'../../x')), file(b''))",
    "another name": "say(RENDERED, file(TOLD.replace(b'output', b'other')), file(b''))",
    "another format": "say(RENDERED, file(TOLD.replace(b'png', b'gif')), file(b''))",
    "facts": "say(RENDERED, file(TOLD.replace(b'png', b'json')), file(b'{}'))",
    "a long reason": "say(FAILED, huge(2**20), file(b''))",
    "a picture without end": "say(RENDERED, file(TOLD), line.fileno())",
    "a pipe": "say(RENDERED, file(TOLD), os.pipe()[0])",
    "a device": "say(RENDERED, file(TOLD), os.open('/dev/zero', os.O_RDONLY))",
    "a directory": "say(RENDERED, file(TOLD), os.open('/', os.O_RDONLY))",
    "written only": "say(RENDERED, file(TOLD), os.open('/dev/shm', os.O_TMPFILE | os.O_WRONLY))",
    "negative memory": "say(b'{\"type\": \"Needs\", \"memory\": -5}')",
    "hangs up": "line.close(); time.sleep(60)",
    "leaves": "sys.exit(0)",
}  # fmt: skip


@pytest.mark.parametrize("facts", [b"\xff", b"[]", b"la la la"])
async def test_facts_that_are_none_end_the_process(fake, facts):
    process = await fake(f"say(RENDERED, file(TOLD.replace(b'png', b'json')), file({facts!r}))")
    recipe = encode_recipe(Recipe((Output(format="json"),)))

    with pytest.raises(RenderDied), trio.fail_after(PATIENCE):
        await process.render(in_memory(draw()), recipe, {}, Memory(2**30), 60.0)


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_ends_the_process_and_its_render_alone(fake, what):
    memory, before = Memory(2**30), descriptors()
    process = await fake(NONSENSE[what])

    with pytest.raises(RenderDied):
        await once(process, memory)

    assert not process.is_free
    assert process._process.returncode is not None
    assert memory.lent == 0
    assert descriptors() == before


async def test_who_asks_for_memory_for_ever_is_ended_in_time(fake):
    process = await fake('while True: say(b\'{"type": "Needs", "memory": 5}\'); hear()')

    error = await once(process, seconds=0.3)

    assert isinstance(error, ImageError)
    assert error.code == "timed_out"


async def test_who_asks_and_never_listens_is_ended(fake):
    process = await fake('while True: say(b\'{"type": "Needs", "memory": 5}\')')

    try:
        error = await once(process, seconds=2)
    except RenderDied:
        code = "died"
    else:
        assert isinstance(error, ImageError)
        code = error.code

    assert code in {"died", "timed_out"}
    assert process._process.returncode is not None


async def test_who_asks_for_more_than_there_is_and_does_not_stop_is_ended(fake):
    process = await fake('say(b\'{"type": "Needs", "memory": 999999999999999999999}\')')

    error = await once(process)

    assert isinstance(error, ImageError)
    assert error.code == "image_too_large"
    assert process._process.returncode is not None


@pytest.mark.parametrize(
    "ready",
    ["say(b'rubbish')", "say(RENDERED)", "sys.exit()", 'say(b\'{"type": "Ready"}\')'],
)
async def test_who_is_not_ready_is_no_process(fake, ready):
    before = descriptors()
    with pytest.raises(NoRenderProcess):
        await fake("", ready + "\n")

    assert descriptors() == before
