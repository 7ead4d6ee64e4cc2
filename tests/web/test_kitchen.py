"""What is read of a request in threads, of which the system may have none."""

import pytest
import trio
from quart import Quart, g

from actors.mailbox import open_mailbox
from actors.messages import Submit
from actors.storage.ports import StorageUnavailable
from tests.conftest import PATIENCE, THUMBNAIL
from tests.web import inside
from web.answers import Answers
from web.app import create_app
from web.batches import batches_blueprint
from web.bounds import Bounds
from web.envoy import Envoy
from web.kitchen import Kitchen
from web.meter import Meter
from web.presets import Presets
from web.turnstile import Account
from web.uploads import UploadLimits, Uploads
from web.wire import WireLimits

ACCOUNT = Account("somebody", Bounds(pixels=100), Meter(1), Meter(1))
KITCHEN = Kitchen(WireLimits(100, 100), Presets(None))


@pytest.fixture(autouse=True)
def no_thread(monkeypatch):
    def none(*_args, **_kwargs):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.to_thread, "run_sync", none)


async def test_without_a_thread_a_batch_is_refused_for_the_moment(tmp_path):
    dispatcher, _ = open_mailbox("dispatcher", 1)
    routes = batches_blueprint(
        Envoy(dispatcher, PATIENCE), Answers(str, str), KITCHEN, max_wait=PATIENCE
    )
    uploads = Uploads(UploadLimits(100, 100, 1, tmp_path, 1, PATIENCE, PATIENCE))
    app = create_app([routes], uploads, inside.OPEN_GATE)

    answer = await inside.ask(app, "POST", "/batches", {"Content-Type": "application/json"}, b"{}")

    assert (answer.status, answer.code) == (503, "storage_unavailable")


async def test_without_a_thread_no_pixels_are_counted():
    async with Quart("calotype").app_context():
        g.account = ACCOUNT
        with pytest.raises(StorageUnavailable, match="no thread"):
            await KITCHEN.counted(Submit(b"photo", "thumbnail", THUMBNAIL, "normal"))
