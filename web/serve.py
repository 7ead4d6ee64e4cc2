"""Run the service: the only place that knows both the actors and the web."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import trio

from actors.courier import Posting
from actors.errors import AskFailed
from actors.fetcher import Fetching
from actors.messages import CountKeys, Drain
from actors.rendering.protocol import MAX_FILES
from actors.rendering.renderer import open_renderer
from actors.storage.opening import Places, open_storage
from actors.store import StoreLimits
from actors.system import Capacity, open_system
from web.about import Health, health_blueprint, problems_blueprint, stats_blueprint
from web.answers import Answers
from web.app import create_app
from web.batches import batches_blueprint
from web.bounds import parse_rate
from web.browsers import Cors
from web.connections import ConnectionLimits, Server
from web.deliveries import deliveries_blueprint
from web.downloads import Downloads
from web.envoy import Envoy
from web.events import events_blueprint
from web.gate import Gatekeeper
from web.images import images_blueprint
from web.jobs import jobs_blueprint
from web.kitchen import Kitchen
from web.links import Links, links_blueprint
from web.openapi.blueprint import openapi_blueprint
from web.origins import Origins, parse_proxies
from web.presets import Presets
from web.pulse import take_pulse
from web.queue import queue_blueprint
from web.settings import OpenToAnybody
from web.streams import StreamLimits, Streams
from web.turnstile import Turnstile
from web.uploads import UploadLimits, Uploads
from web.watch import Watch
from web.wire import WireLimits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from actors.mailbox import Address
    from actors.system import System
    from web.settings import Settings

log = structlog.get_logger("calotype.serve")

# A thread holds the interpreter for this long at most while the event loop waits.
SWITCH_INTERVAL = 0.0005  # seconds
FILES_EACH = 2  # descriptors of a connection
SPARE_FILES = 256  # descriptors besides those of connections
DRAIN = 2.0  # seconds for the actors to hear of the stop
STUCK = 5.0  # seconds after the grace until the process is ended by force
REQUESTS_SHARE = 2 / 3
BASE64 = 4 / 3
PHOTO = Path(__file__).parent.parent / "examples" / "photo.jpg"  # if this is a checkout


class Stopping:
    """When the service must stop, and by when it must have stopped."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._begun: float | None = None
        self.begun = trio.Event()

    def begin(self) -> None:
        """Let the grace begin."""
        self._begun = trio.current_time()
        self.begun.set()

    def left(self, share: float = 1.0) -> float:
        """Return the seconds that are left of this share of the grace."""
        if self._begun is None:
            return self._grace * share
        return max(0.0, self._begun + self._grace * share - trio.current_time())


async def serve(settings: Settings) -> bool:
    """Serve until SIGTERM or SIGINT, then stop gracefully. At SIGHUP the presets are read again.

    Returns whether everything was finished within the grace.

    Raises:
      BadPresets: if the presets cannot be used.
      StorageError: if the storage cannot be opened.
      OpenToAnybody: if anybody from elsewhere could use it, and nobody has said that this is meant.
      OSError: if the address cannot be listened on.
      TooManyCrashes: if an actor kept crashing.
    """
    if settings.needs_keys and not settings.db_path.exists():
        raise OpenToAnybody(settings.host)  # Before anything is made.
    sys.setswitchinterval(SWITCH_INTERVAL)
    connections = _allow_connections(settings)
    settings = settings.model_copy(update={"max_connections": connections})
    presets = Presets(settings.presets)
    stopping = Stopping(settings.shutdown_grace)
    health = Health()
    places = Places(settings.db_path, settings.upload_dir, settings.output_dir)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            async with (
                _traces(settings, stopping),
                open_renderer(settings.rendering) as renderer,
                open_system(
                    *(partial(open_storage, places), _capacity(settings), renderer),
                    grace=stopping.left,
                ) as system,
            ):
                # A second signal must be heard until the last actor has left.
                stop = partial(_stop_at_signal, signals, system.front_door, health, stopping)
                nursery.start_soon(stop)  # noqa: ASYNC111
                if settings.presets:
                    await nursery.start(_reload_at_signal, presets)
                await _check_keys(settings, system.front_door)
                nursery.start_soon(take_pulse)
                await _serve_web(settings, places, system, presets, health, stopping)
            nursery.cancel_scope.cancel()
    in_time = stopping.left() > 0
    log.info("stopped", in_time=in_time)
    return in_time


def _traces(settings: Settings, stopping: Stopping) -> AbstractAsyncContextManager[None]:
    exporter = settings.otel_traces_exporter
    if exporter == "none" or settings.otel_sdk_disabled:
        return nullcontext()
    from web.telemetry import open_telemetry  # noqa: PLC0415  (it comes with an extra)

    return open_telemetry(exporter, stopping.left)


async def _check_keys(settings: Settings, dispatcher: Address) -> None:
    if settings.needs_keys:
        with trio.fail_after(settings.ask_timeout):
            keys = await dispatcher.ask(CountKeys())
        if not keys:
            raise OpenToAnybody(settings.host)


async def _serve_web(
    settings: Settings,
    places: Places,
    system: System,
    presets: Presets,
    health: Health,
    stopping: Stopping,
) -> None:
    """Put the web in front of the actors, until it is time to stop and requests have ended."""
    dispatcher, patience = system.front_door, settings.ask_timeout
    uploads = Uploads(_upload_limits(settings))
    server = Server(_connection_limits(settings))
    answers = Answers(places.locate_input, places.locate_output, settings.retention.results)
    envoy, links = Envoy(dispatcher, patience), Links(dispatcher, patience)
    downloads = Downloads(envoy)
    kitchen = Kitchen(_wire_limits(settings), presets, settings.image_limits)
    cors = Cors(settings.origins)
    gate = Gatekeeper(
        dispatcher,
        links,
        patience,
        turnstile=Turnstile(settings.bounds, parse_rate(settings.rate_wrong_keys)),
        origins=Origins(parse_proxies(settings.trusted_proxies or "")),
        allow_anonymous=settings.allow_anonymous,
        cors=cors,
    )
    streams = Streams(_stream_limits(settings), gate)
    app = create_app(
        [
            jobs_blueprint(envoy, answers, downloads, kitchen, settings.max_wait),
            batches_blueprint(envoy, answers, kitchen, settings.max_wait),
            events_blueprint(envoy, streams),
            deliveries_blueprint(envoy, answers),
            links_blueprint(envoy, links),
            images_blueprint(envoy, answers, downloads, kitchen),
            health_blueprint(health),
            problems_blueprint(),
            queue_blueprint(envoy),
            openapi_blueprint(),
            stats_blueprint(
                Watch(system, server, uploads, patience),
                dispatcher,
                max_pool=settings.max_pool_size,
            ),
        ],
        uploads,
        gate,
        cors,
    )
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            server.serve,
            app,
            settings.host,
            settings.port,
            stopping.begun,
            partial(stopping.left, REQUESTS_SHARE),
        )
        _announce(settings, listeners[0].socket.getsockname()[1])


async def _reload_at_signal(presets: Presets, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            await trio.to_thread.run_sync(presets.reload)


async def _stop_at_signal(
    signals: AsyncIterator[int], dispatcher: Address, health: Health, stopping: Stopping
) -> None:
    """Begin the stop at the first signal; end the process at the second, or when it is stuck."""
    first = await anext(signals)
    log.info("stopping", signal=signal.Signals(first).name)
    health.draining = True
    stopping.begin()
    try:
        with trio.fail_after(DRAIN):
            await dispatcher.ask(Drain())
    except (AskFailed, trio.TooSlowError) as error:
        log.warning("drain_failed", why=repr(error))
    with trio.move_on_after(stopping.left() + STUCK):
        second = await anext(signals)
        log.warning("ended_at_once", signal=signal.Signals(second).name)
        os._exit(128 + second)
    # A thread cannot be killed, and nothing is lost by ending without it.
    log.error("stuck")
    os._exit(1)


def _announce(settings: Settings, port: int) -> None:
    url = f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{port}"
    log.info("listening", url=url, workers=settings.worker_pool_size, renders=settings.max_renders)
    photo = PHOTO if PHOTO.is_file() else "YOUR.jpg"
    try:
        print(  # noqa: T201  (for the person who started it; what happens is in the log)
            f"Calotype listens on {url}\n"
            f"  jobs     {settings.db_path} (SQLite)\n"
            f"  images   {settings.upload_dir}/ and {settings.output_dir}/\n"
            f"  workers  {settings.worker_pool_size}, rendering {settings.max_renders} at a time\n"
            "Try it:\n"
            f"  curl -sS -F {shlex.quote(f'image=@{photo}')} \\\n"
            "    -F operation=thumbnail -F width=300 -F height=300 \\\n"
            f"    -H 'Prefer: wait=30' -H 'Accept: image/*' -o thumbnail.jpg {url}/jobs",
            flush=True,
        )
    except OSError:
        # Nobody can read it, and what is left of it must not spoil the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _allow_connections(settings: Settings) -> int:
    """Have the system allow files for all connections; return for how many it does.

    Without a file to spare nobody could be served, not even who has a connection.
    """
    wanted = settings.max_connections
    # A render, and what it is made of; a connection, and the file in which its body waits.
    spare = SPARE_FILES + MAX_FILES * (settings.max_renders + settings.worker_pool_size)
    files = FILES_EACH * wanted + spare
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= files or soft == resource.RLIM_INFINITY:
        return wanted
    allowed = files if hard == resource.RLIM_INFINITY else min(files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed == files:
        return wanted
    enough = max(1, (allowed - spare) // FILES_EACH)
    log.warning("too_few_files", allowed=allowed, needed=files, connections=enough)
    return enough


def _capacity(settings: Settings) -> Capacity:
    return Capacity(
        workers=settings.worker_pool_size,
        storage_calls=settings.storage_threads,
        mail=settings.mailbox_size,
        store=StoreLimits(
            backlog=settings.max_pending,
            asks=settings.store_asks,
            attempts=settings.max_attempts,
            retry_delay=settings.retry_delay,
            repeats=settings.repeats,
            audit=settings.audit,
            events=settings.events_kept,
            events_age=settings.events_age,
            retention=settings.retention,
            outbox=settings.outbox,
            sweep_period=settings.sweep_period,
        ),
        fetching_workers=settings.fetching_workers,
        fetching=Fetching(
            max_bytes=settings.max_upload_size,
            timeout=settings.fetch_timeout,
            places=settings.max_fetches,
            max_redirects=settings.max_redirects,
            allowance=settings.allowance,
        ),
        posting=Posting(
            timeout=settings.delivery_timeout,
            places=settings.max_deliveries,
            backoff=settings.delivery_backoff,
            allowance=settings.allowance,
        ),
    )


def _wire_limits(settings: Settings) -> WireLimits:
    return WireLimits(
        settings.max_upload_size,
        settings.max_json_size,
        settings.allowance,
        retain=settings.max_retain,
        delay=settings.max_delay,
        attempts=settings.max_attempts,
        batch=settings.max_batch,
    )


def _upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(
        max_size=int(settings.max_upload_size * BASE64) + settings.max_json_size,
        memory=settings.upload_memory,
        spilled=settings.spilled_uploads,
        spool=settings.upload_dir,
        min_rate=settings.min_body_rate,
        period=settings.body_rate_period,
        patience=settings.ask_timeout,
    )


def _stream_limits(settings: Settings) -> StreamLimits:
    return StreamLimits(
        all=settings.max_streams,
        of_tenant=settings.max_tenant_streams,
        keep_alive=settings.events_keep_alive,
    )


def _connection_limits(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        connections=settings.max_connections,
        header_size=settings.max_header_size,
        keep_alive=settings.keep_alive,
        send=settings.send_timeout,
    )
