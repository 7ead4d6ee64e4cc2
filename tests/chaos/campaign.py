"""A campaign: the service under load, faults, clients and receivers; and what remains of it."""

import hashlib
import io
import re
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import trio
from PIL import Image, UnidentifiedImageError

from tests.chaos.client import TIMEOUT, Client
from tests.chaos.demon import Demon
from tests.chaos.disk import Disk, open_disk
from tests.chaos.follower import follow, replay
from tests.chaos.history import History, Picture
from tests.chaos.keeper import Keeper
from tests.chaos.plan import Plan, Work
from tests.chaos.receiver import Receiver
from tests.service.asking import Api, files_in
from tests.web.running import COMMAND, Server

# Seconds until a sweep has been everywhere.
SWEEP = 30.0
DOWNLOADS = 8
# Things that one client does at the same moment.
AT_ONCE = 8
# Its own patience is long; here faults come by the second.
SETTINGS = {
    "MAX_ATTEMPTS": 10,
    "SHUTDOWN_GRACE": 10,
    "RETRY_DELAY": 0.2,
    "DELIVERY_DELAY": 0.1,
    "MAX_DELIVERY_DELAY": 0.5,
    "DELIVERY_ATTEMPTS": 100,
    "SWEEP_PERIOD": 2,
    "LOG_FORMAT": "json",
}


async def run_campaign(plan: Plan, directory: Path) -> History:
    """Run it in this directory, and return what happened. The log of the service stays there."""
    history = History()
    with open_disk(directory / "disk") as disk:
        async with trio.open_nursery() as nursery:
            receiver = Receiver(plan.seed, history)
            await nursery.start(receiver.run)
            server = Server(disk.directory, FETCH_ALLOW=f"127.0.0.1:{receiver.port}", **SETTINGS)
            receiver.secret = await _secret(server)
            keeper = Keeper(server, directory / "service.log", history)
            try:
                await nursery.start(keeper.write_log)
                nursery.start_soon(keeper.run)
                await keeper.is_up.wait()
                nursery.start_soon(follow, server, history)
                await _attack(plan, keeper, disk, receiver, history)
                await _settle(keeper, history, plan.rest)
            finally:
                keeper.kill()
            nursery.cancel_scope.cancel()
        _look_at_the_disk(disk, history)
        shutil.copytree(disk.directory / "data", directory / "data")
    return history


async def _attack(
    plan: Plan, keeper: Keeper, disk: Disk, receiver: Receiver, history: History
) -> None:
    async with trio.open_nursery() as nursery:
        over = trio.Event()
        for number in range(plan.clients):
            nursery.start_soon(_work, plan, number, keeper.server, receiver, history, over)
        await Demon(plan, keeper, disk, history).run()
        over.set()


async def _work(
    plan: Plan, number: int, server: Server, receiver: Receiver, history: History, over: trio.Event
) -> None:
    async with _open_http(server) as http:
        client = Client(http, server, receiver, history)
        places = trio.Semaphore(AT_ONCE)

        async def do(work: Work) -> None:
            try:
                await client.do(work)
            finally:
                places.release()

        async with trio.open_nursery() as nursery:
            for work in plan.works(number):
                await trio.sleep(work.pause)
                await places.acquire()
                if over.is_set():
                    break
                nursery.start_soon(do, work)


@asynccontextmanager
async def _open_http(server: Server) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=server.url, timeout=TIMEOUT, trust_env=False) as http:
        yield http


async def _secret(server: Server) -> str:
    done = await trio.run_process(
        [*COMMAND, "webhooks", "secret"],
        cwd=server.dir,
        env=server.environment,
        capture_stdout=True,
    )
    return done.stdout.decode().strip()


async def _settle(keeper: Keeper, history: History, rest: float) -> None:
    """Wait until nothing happens any more, look at all there is, and start once more."""
    await keeper.is_up.wait()
    remains = history.remains
    async with _open_http(keeper.server) as http:
        api = Api(http)
        remains.has_rested = False
        with trio.move_on_after(rest):
            while await _is_at_work(api):  # noqa: ASYNC110 - it happens in another process
                await trio.sleep(0.1)
            remains.has_rested = True
        remains.unheard = await _undelivered(api)
        remains.jobs = {job["id"]: job for job in await api.jobs()}
        batch_ids = {each for note in history.batches.values() for each in note.batch_ids}
        for batch_id in batch_ids | {
            job["batch_id"] for job in remains.jobs.values() if "batch_id" in job
        }:
            answer = await http.get(f"/batches/{batch_id}")
            remains.batches[batch_id] = answer.json() if answer.is_success else None
        await _download_all(api, history)
        last = await _last_event(keeper.server)
        if last:
            with trio.move_on_after(rest):
                remains.replay = await replay(keeper.server, last)
                while history.heard[-1].number < last:  # noqa: ASYNC110 - there is no event for it
                    await trio.sleep(0.05)
    await keeper.end(signal.SIGTERM, "terminate")
    await keeper.is_up.wait()
    await _until(lambda: not _unnamed(keeper.server)[0])
    await keeper.stop()
    await _until(lambda: not list(keeper.strays()))
    remains.strays = list(keeper.strays())


async def _is_at_work(api: Api) -> bool:
    queue = (await api.stats()).queue
    return bool(queue["pending"] + queue["processing"] or await _undelivered(api))


async def _undelivered(api: Api) -> int:
    text = (await api.http.get("/metrics")).text
    found = re.findall(
        r'calotype_deliveries_present\{status="(?:pending|sending|dead)"\} (\S+)', text
    )
    return int(sum(map(float, found)))


async def _last_event(server: Server) -> int:
    def look() -> int:
        path = server.dir / "data" / "jobs.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as catalogue:
            (last,) = catalogue.execute("select max(number) from events").fetchone()
            return int(last or 0)

    return await trio.to_thread.run_sync(look)


async def _download_all(api: Api, history: History) -> None:
    remains = history.remains
    places = trio.CapacityLimiter(DOWNLOADS)

    async def download(job_id: str, name: str) -> None:
        async with places:
            answer = await api.download(job_id, name)
        if answer.is_success:
            remains.results.setdefault(job_id, {})[name] = _look_at(answer.content)

    async with trio.open_nursery() as nursery:
        for job_id, job in remains.jobs.items():
            for output in job.get("outputs", ()):
                nursery.start_soon(download, job_id, output["name"])


def _look_at(data: bytes) -> Picture:
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return Picture(sha256, image.size)
    except (UnidentifiedImageError, OSError):
        return Picture(sha256, None)


async def _until(condition: Callable[[], bool]) -> None:
    """Wait until it is true, or for as long as it should take."""
    with trio.move_on_after(SWEEP):
        while not condition():  # noqa: ASYNC110 - it happens in another process
            await trio.sleep(0.1)


def _unnamed(server: Server) -> tuple[list[str], list[str]]:
    """Return the files that no record names, and those that are named and not there."""
    path = server.dir / "data" / "jobs.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as catalogue:
        inputs = {key for (key,) in catalogue.execute("select key from images")}
        outputs = set[str]()
        for key, made in catalogue.execute("select input_key, outputs from jobs"):
            inputs |= {key} if key else set()
            told: list[dict[str, Any]] = msgspec.json.decode(made or "[]")
            outputs |= {each["key"] for each in told}
    named = {
        *(str(server.dir / "uploads" / key) for key in inputs),
        *(str(server.dir / "outputs" / key) for key in outputs),
    }
    there = set(map(str, files_in(server.dir / "uploads", server.dir / "outputs")))
    return sorted(there - named), sorted(named - there)


def _look_at_the_disk(disk: Disk, history: History) -> None:
    remains = history.remains
    data = disk.directory / "data" / "jobs.db"
    server = Server(disk.directory)
    remains.orphans, remains.missing = _unnamed(server)
    with closing(sqlite3.connect(data)) as catalogue:
        found = catalogue.execute("pragma integrity_check").fetchall()
        remains.integrity = "; ".join(str(line) for (line,) in found)
        broken = catalogue.execute("pragma foreign_key_check").fetchall()
        if broken:
            remains.integrity += f"; foreign keys: {broken[:5]}"
