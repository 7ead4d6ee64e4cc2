"""Work in threads, of which the system may have none."""

import threading

import pytest
import trio

from actors.storage.ports import StorageUnavailable
from actors.threads import in_thread


async def test_work_is_done_in_another_thread():
    name = await in_thread(threading.get_ident, trio.CapacityLimiter(1))

    assert name != threading.get_ident()


async def test_when_there_is_none_it_is_unavailable_and_the_place_is_free_again(monkeypatch):
    limiter = trio.CapacityLimiter(1)

    def none(*_args, **_kwargs):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(trio.to_thread, "run_sync", none)
        with pytest.raises(StorageUnavailable, match="no thread"):
            await in_thread(threading.get_ident, limiter)

    assert await in_thread(threading.get_ident, limiter)


async def test_other_errors_are_what_they_are():
    def fail():
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        await in_thread(fail, trio.CapacityLimiter(1))
