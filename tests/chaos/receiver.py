"""The other side of webhooks and of images by address: an HTTP server in this process."""

import json
import time
from collections import Counter
from random import Random

import h11
import trio
from standardwebhooks import Webhook, WebhookVerificationError

from tests.chaos.history import History, Hook
from tests.chaos.pictures import draw

# Of ten webhooks one is refused, and of a hundred one is heard and not answered; never so many in a
# row that the host is left alone, as webhooks.md has it.
REFUSED, UNANSWERED = 0.1, 0.01
IN_A_ROW = 2


class Receiver:
    """Takes webhooks in, and has pictures: `/picture/found/…`, `flaky` or `missing`."""

    def __init__(self, seed: int, history: History) -> None:
        self.port = 0
        self.secret = ""
        self._chance = Random(f"{seed} receiver")  # noqa: S311 - nothing here is secret
        self._history = history
        self._in_a_row = 0
        self._asked: Counter[str] = Counter()

    def url(self, path: str) -> str:
        """Return the address of `path`."""
        return f"http://127.0.0.1:{self.port}{path}"

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve until cancelled."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._serve, [listener])

    async def _serve(self, stream: trio.SocketStream) -> None:
        http = h11.Connection(h11.SERVER)
        try:
            while True:
                request, body = await self._request(stream, http)
                if request is None:
                    return
                status, answer = self._answer(request, body)
                if not status:
                    return
                head = h11.Response(
                    status_code=status, headers=[("Content-Length", str(len(answer)))]
                )
                sent = http.send(head), http.send(h11.Data(answer)), http.send(h11.EndOfMessage())
                await stream.send_all(b"".join(each or b"" for each in sent))
                if http.our_state is h11.MUST_CLOSE:
                    return
                http.start_next_cycle()
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            pass  # Its service was killed.
        finally:
            with trio.move_on_after(1, shield=True):
                await stream.aclose()

    async def _request(
        self, stream: trio.SocketStream, http: h11.Connection
    ) -> tuple[h11.Request | None, bytes]:
        request, body = None, b""
        while True:
            event = http.next_event()
            match event:
                case h11.NEED_DATA:
                    http.receive_data(await stream.receive_some(65536))
                case h11.Request():
                    request = event
                case h11.Data():
                    body += event.data
                case h11.EndOfMessage():
                    return request, body
                case _:
                    return None, b""

    def _answer(self, request: h11.Request, body: bytes) -> tuple[int, bytes]:
        path = request.target.decode()
        if not path.startswith("/picture/"):
            return self._hear(request, body), b""
        self._asked[path] += 1
        _, _, kind, mark = path.split("/")
        if kind == "missing":
            return 404, b""
        if kind == "flaky" and self._asked[path] == 1:
            return 503, b""
        return 200, draw(kind, int(mark))

    def _hear(self, request: h11.Request, body: bytes) -> int:
        """Note a webhook; return what to answer, or 0 for nothing at all."""
        headers = {name.decode(): value.decode() for name, value in request.headers}
        try:
            Webhook(self.secret).verify(body, headers)
            is_genuine = True
        except WebhookVerificationError:
            is_genuine = False
        dice, status = self._chance.random(), 204
        if self._in_a_row < IN_A_ROW and dice < REFUSED:
            status = 0 if dice < UNANSWERED else 503
        self._in_a_row = self._in_a_row + 1 if status != 204 else 0
        told = json.loads(body)
        self._history.hooks.append(
            Hook(
                time.time(),
                headers.get("webhook-id", ""),
                told["data"]["id"],
                told["type"],
                told["data"]["status"],
                is_genuine,
                status == 204,
                told["data"].get("jobs"),
            )
        )
        return status
