"""A client that does its work whatever happens to the service, and notes what it was told."""

import base64
import json
import socket
import struct
import time
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlencode

import httpx2
import trio

from tests.chaos.history import (
    ENDED,
    BatchSubmission,
    History,
    Order,
    Request,
    Sight,
    Submission,
    Wish,
)
from tests.chaos.pictures import draw
from tests.chaos.plan import Work
from tests.chaos.receiver import Receiver
from tests.service.asking import _Body
from tests.web.running import Server

RETRY = 0.2
TRIES = 300  # of what is sent until it is answered: longer than any outage
LOOKS = 8
TIMEOUT = 10
BATCH = (2, 8)


class Client:
    """One client, with a connection of its own."""

    def __init__(
        self, http: httpx2.AsyncClient, server: Server, receiver: Receiver, history: History
    ) -> None:
        self._http = http
        self._server = server
        self._receiver = receiver
        self._history = history

    async def do(self, work: Work) -> None:
        """Do this, and what follows from it."""
        match work.kind:
            case "batch":
                await self._batch(work)
            case "half upload":
                await self._half_upload(work)
            case "no reader":
                await self._no_reader()
            case _:
                job_id = await self._job(work)
                if job_id is not None:
                    await trio.sleep(work.lag)
                    await self._go_on(work, job_id)

    async def call(
        self, method: str, path: str, job_id: str | None = None, **how: Any
    ) -> httpx2.Response | None:
        """Return the answer to one request; None if there was none."""
        asked_at, answer, code = time.time(), None, None
        request = self._http.build_request(method, path, **how)
        request.stream = _Body(await request.aread())
        with suppress(httpx2.TransportError):
            answer = await self._http.send(request)
        if answer is not None and answer.status_code >= 400:
            code = answer.json()["code"] if answer.content else ""
        status = answer.status_code if answer is not None else None
        self._history.requests.append(
            Request(asked_at, time.time(), method, path, status, code, job_id)
        )
        return answer

    async def _send(
        self, note: Submission | BatchSubmission, path: str, headers: dict[str, str], **how: Any
    ) -> dict[str, Any] | None:
        """Send what makes something; return the answer of success.

        With a key again and again, without one until it may have been done.
        """
        for _ in range(TRIES):
            answer = await self.call("POST", path, headers=headers, **how)
            status = answer.status_code if answer is not None else None
            if answer is not None and answer.is_success:
                told: dict[str, Any] = answer.json()
                return told
            if status is not None and status < 500:
                return None  # The model has its opinion about this.
            # What is refused with Retry-After has done nothing, and neither has what found no room.
            if answer is None or not (status == 507 or "Retry-After" in answer.headers):
                note.unknown += 1
                if note.key is None:
                    return None
            await trio.sleep(RETRY)
        return None

    async def _job(self, work: Work) -> str | None:
        path, how, sizes = self._words(work)
        key = f"key {work.mark}" if work.keyed else None
        note = Submission(work.mark, work.kind, sizes, key, work.callback)
        self._history.submissions[work.mark] = note
        headers = how.pop("headers") | ({"Idempotency-Key": key} if key else {})
        send = partial(self._submit, note, path, headers, how)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            if work.again == "at once":
                nursery.start_soon(send)
        if work.again == "later" and note.job_ids:
            await send()
        return note.job_ids[0] if note.job_ids else None

    async def _submit(
        self, note: Submission, path: str, headers: dict[str, str], how: dict[str, Any]
    ) -> None:
        told = await self._send(note, path, headers, **how)
        if told is not None:
            note.job_ids.append(told["job_id"])

    def _words(self, work: Work) -> tuple[str, dict[str, Any], dict[str, tuple[int, int]]]:
        """Return where to send a job, how to say it, and what sizes come out by their names."""
        width, height = work.size if work.kind != "twin" else (40, 30)
        words: dict[str, Any] = {"operation": "resize", "width": width, "height": height}
        sizes = {"output": (width, height)}
        if work.kind == "outputs":
            sizes = {"one": (width, height), "two": (height, width)}
            words = {
                "outputs": [
                    {"name": name, "operations": [{"op": "resize", "width": w, "height": h}]}
                    for name, (w, h) in sizes.items()
                ]
            }
        words |= {"priority": work.priority, "max_attempts": work.max_attempts}
        elsewhere = work.kind in {"found", "flaky", "missing"}
        if elsewhere:
            words["image_url"] = self._receiver.url(f"/picture/{work.kind}/{work.chance}")
        if work.callback:
            words["callback_url"] = self._receiver.url(f"/hook/{work.mark}")
        if work.form == "bare" and work.kind != "outputs" and not elsewhere and work.callback:
            # The mark is in the callback; `metadata` is for JSON alone.
            how = {"content": draw(work.kind, work.chance)}
            told = {"Content-Type": "application/octet-stream"}
            return f"/jobs?{urlencode(words)}", how | {"headers": told}, sizes
        words["metadata"] = {"mark": work.mark}
        if not elsewhere:
            words["image_data"] = base64.b64encode(draw(work.kind, work.chance)).decode()
        told = {"Content-Type": "application/json"}
        return "/jobs", {"content": json.dumps(words).encode(), "headers": told}, sizes

    async def _go_on(self, work: Work, job_id: str) -> None:
        match work.sequel:
            case "poll":
                await self._poll(job_id)
            case "download":
                await self._poll(job_id)
                await self.call("GET", f"/jobs/{job_id}/download", job_id)
            case "cancel":
                await self._order("cancel", job_id)
                await self._look(job_id)
            case "retry":
                if await self._order("cancel", job_id):
                    await self._order("retry", job_id)
                    await self._poll(job_id)
            case "delete":
                await self._order("delete", job_id)
                await self._look(job_id)

    async def _look(self, job_id: str, wait: str = "") -> str | None:
        answer = await self.call("GET", f"/jobs/{job_id}{wait}", job_id)
        if answer is None:
            return None
        if answer.status_code == 404:
            self._see(job_id, "deleted", 0)
            return "deleted"
        return self._saw(answer)

    async def _poll(self, job_id: str) -> None:
        for number in range(LOOKS):
            status = await self._look(job_id, "?wait=2" if number > 1 else "")
            if status in ENDED or status == "deleted":
                return
            await trio.sleep(RETRY if status is None else 0.01)

    def _saw(self, answer: httpx2.Response) -> str | None:
        if not answer.is_success:
            return None
        job = answer.json()
        self._see(job["id"], job["status"], job["attempts"])
        return str(job["status"])

    def _see(self, job_id: str, status: str, attempts: int) -> None:
        self._history.sights.append(Sight(time.time(), job_id, status, attempts))

    async def _order(self, wish: Wish, job_id: str, what: str = "jobs") -> bool:
        """Have this done, however often it takes; return whether it was."""
        path = f"/{what}/{job_id}"
        method, path = ("DELETE", path) if wish == "delete" else ("POST", f"{path}/{wish}")
        for _ in range(TRIES):
            begun = time.time()
            answer = await self.call(method, path, job_id)
            status = answer.status_code if answer is not None else None
            # After a first try without an answer, a job that is gone was deleted by it.
            done = status is not None and (status < 300 or (wish == "delete" and status == 404))
            self._history.orders.append(Order(begun, wish, job_id, done))
            if done and answer is not None and wish != "delete" and what == "jobs":
                self._saw(answer)
            if status is not None and status < 500:
                return done
            await trio.sleep(RETRY)
        return False

    async def _batch(self, work: Work) -> None:
        upload = await self._upload(work)
        if upload is None:
            return
        size = BATCH[0] + work.chance % (BATCH[1] - BATCH[0] + 1)
        marks = tuple(f"{work.mark}-{number}" for number in range(size))
        key = f"key {work.mark}" if work.keyed else None
        note = BatchSubmission(work.mark, key, work.callback, marks)
        self._history.batches[work.mark] = note
        jobs = []
        for number, mark in enumerate(marks):
            width, height = work.size[0] + number, work.size[1]
            sizes = {"output": (width, height)}
            self._history.submissions[mark] = Submission(
                mark, "batch", sizes, None, callback=False, batch=work.mark
            )
            jobs.append({"width": width, "height": height, "metadata": {"mark": mark}})
        words: dict[str, Any] = {
            "defaults": {"image_id": upload, "operation": "resize"},
            "jobs": jobs,
            "metadata": {"mark": work.mark},
        }
        if work.callback:
            words["callback_url"] = self._receiver.url(f"/hook/{work.mark}")
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        told = await self._send(note, "/batches", headers, content=json.dumps(words).encode())
        if told is None:
            return
        note.batch_ids.append(told["batch_id"])
        for mark, job_id in zip(marks, told["job_ids"], strict=True):
            self._history.submissions[mark].job_ids.append(job_id)
        await trio.sleep(work.lag)
        if work.sequel in {"cancel", "delete"}:
            await self._order(work.sequel, told["batch_id"], "batches")

    async def _upload(self, work: Work) -> str | None:
        headers = {"Content-Type": "image/png", "Idempotency-Key": f"image {work.mark}"}
        note = Submission(work.mark, "batch", {}, "image", callback=False)
        content = draw("picture", work.chance)
        told = await self._send(note, "/images", headers, content=content)
        return str(told["image_id"]) if told else None

    async def _half_upload(self, work: Work) -> None:
        """Announce more than is sent, and break the connection."""
        body = draw("large", work.chance)
        head = (
            f"POST /jobs?operation=resize&width=9&height=9 HTTP/1.1\r\nHost: calotype\r\n"
            f"Content-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await self._break(head.encode() + body[: work.chance % len(body)], work.lag)

    async def _no_reader(self) -> None:
        """Ask for all events, and take none of them."""
        await self._break(b"GET /events?last_event_id=0 HTTP/1.1\r\nHost: calotype\r\n\r\n", 1)

    async def _break(self, said: bytes, lag: float) -> None:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", self._server.port)
            async with stream:
                # The peer sees a reset, as of a machine that has gone.
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with trio.move_on_after(TIMEOUT):
                    await stream.send_all(said)
                    await trio.sleep(lag)
        except (OSError, trio.BrokenResourceError):
            pass  # It is just being killed.
