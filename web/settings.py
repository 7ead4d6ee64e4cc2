"""The settings, from the environment. The only place that reads it."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

import click
from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from actors.imaging.facts import Format, Limits
from actors.outside.allowance import Allowance, parse_allowance
from actors.outside.backoff import DELIVERIES as BACKOFF
from actors.outside.backoff import Backoff
from actors.storage.audit import AUDIT
from actors.storage.keeping import Keeping
from actors.storage.outbox import OutboxRules
from actors.storage.repeats import REPEATS
from actors.storage.retention import Rules
from web.bounds import OFF, Bounds, parse_quota, parse_rate
from web.browsers import ANY
from web.origins import parse_proxies

MIB = 1024 * 1024
# Of a page, as its browser says it: in lower case, with nothing behind the port, if there is one.
ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[1-9][0-9]{0,4})?")


# What no sensible setting exceeds, and what every part below can count with.
Count = Annotated[int, Field(ge=1, le=10**12)]
Span = Annotated[int, Field(ge=1, le=10**9)]
Seconds = Annotated[float, Field(gt=0, le=10**6, allow_inf_nan=False)]


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class OpenToAnybody(Exception):
    """The service can be reached from elsewhere, and has no keys. Its argument is the host."""

    def __str__(self) -> str:
        return (
            f"HOST={self.args[0]} is reachable from elsewhere: make a key with `calotype keys "
            "create`, or set ALLOW_ANONYMOUS=1 if anybody there may do anything"
        )


class Settings(BaseSettings):
    """Every setting has the name of its field in capitals as its environment variable."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port to listen on; 0 is any free one.")
    ] = 8080
    allow_anonymous: Annotated[
        bool, Field(description="Let everybody do everything without a key, also from elsewhere.")
    ] = False

    db_path: Annotated[Path, Field(description="SQLite file of the catalogue.")] = Path(
        "data/jobs.db"
    )
    upload_dir: Annotated[Path, Field(description="Directory of the images that come in.")] = Path(
        "uploads"
    )
    output_dir: Annotated[Path, Field(description="Directory of the images that are made.")] = Path(
        "outputs"
    )

    presets: Annotated[
        Path | None, Field(description="TOML file of named recipes; read again at SIGHUP.")
    ] = None

    worker_pool_size: Annotated[Count, Field(description="Workers at the start.")] = 10
    max_pool_size: Annotated[
        int, Field(ge=1, le=4096, description="The most Workers that there may be.")
    ] = 256
    max_renders: Annotated[
        int, Field(ge=1, le=1024, description="Renders at the same moment; by default one a core.")
    ] = Field(default_factory=_cores)
    storage_threads: Annotated[
        int, Field(ge=1, le=1024, description="Reads and writes of files at the same moment.")
    ] = 8
    store_asks: Annotated[
        Count, Field(description="Requests that the Store works on at the same moment.")
    ] = 64
    mailbox_size: Annotated[
        Count, Field(description="Messages that wait for an actor before it is 503.")
    ] = 256

    max_pending: Annotated[
        Count, Field(description="Pending jobs; a submit beyond them is 503 overloaded.")
    ] = 100_000
    max_attempts: Annotated[
        int,
        Field(ge=1, le=1000, description="How often a job may be begun until its fault is final."),
    ] = 3
    retry_delay: Annotated[
        Seconds,
        Field(description="Seconds before a second attempt, at most; twice as long each time."),
    ] = 2.0
    max_delay: Annotated[Count, Field(description="Seconds a job may be put off.")] = 30 * 86_400
    max_batch: Annotated[
        int,
        Field(
            ge=1,
            le=5_000,
            description="Jobs in one `POST /batches`, which are accepted in one transaction.",
        ),
    ] = 1000
    fetching_workers: Annotated[
        int | None,
        Field(
            ge=1,
            le=4096,
            description="Workers that may have a job whose image has still to be fetched; by "
            "default half of them.",
        ),
    ] = None

    retain_results: Annotated[
        Span | None,
        Field(
            description="Seconds that the files of a job are kept after its end, if it does not "
            "say so itself; by default until it is deleted."
        ),
    ] = None
    retain_records: Annotated[
        Span | None,
        Field(
            description="Seconds that a job is still known after its files have gone; by default "
            "until it is deleted."
        ),
    ] = None
    retain_images: Annotated[
        Span | None,
        Field(
            description="Seconds that an image is kept after its upload, and longer while a job "
            "needs it; by default until it is deleted."
        ),
    ] = None
    max_retain: Annotated[
        Span, Field(description="The most seconds that `retain` may ask for.")
    ] = 30 * 24 * 60 * 60
    max_stored_bytes: Annotated[
        Count | None,
        Field(
            description="Bytes of the files of jobs that have ended; beyond them, those go that "
            "ended first. By default as many as the disk takes."
        ),
    ] = None
    sweep_period: Annotated[
        Seconds, Field(description="Seconds between two looks at what may go.")
    ] = 60.0

    max_upload_size: Annotated[Count, Field(description="Bytes of an image.")] = 10 * MIB
    max_json_size: Annotated[
        Count, Field(description="Bytes of a request's JSON besides the image.")
    ] = MIB
    upload_memory: Annotated[
        Count,
        Field(description="Bytes of request bodies in memory; what is more waits on the disk."),
    ] = 64 * MIB
    spilled_uploads: Annotated[
        Count, Field(description="Bodies taken back from the disk at the same moment.")
    ] = 4
    min_body_rate: Annotated[
        Count, Field(description="Bytes a second below which a body is cut with 408.")
    ] = 1024
    body_rate_period: Annotated[
        Seconds, Field(description="Seconds over which that speed is measured.")
    ] = 30.0

    idempotency_age: Annotated[
        Seconds, Field(description="Seconds for which an Idempotency-Key is remembered.")
    ] = REPEATS.age.total_seconds()
    max_idempotency_keys: Annotated[
        Count, Field(description="Such keys remembered for each tenant; older ones are forgotten.")
    ] = REPEATS.most
    audit_days: Annotated[
        int, Field(ge=1, le=36_500, description="Days for which the audit is kept.")
    ] = AUDIT.age.days
    max_audit: Annotated[
        Count, Field(description="Entries of the audit; older ones are forgotten.")
    ] = AUDIT.most
    cors_origins: Annotated[
        str | None,
        Field(
            description="Origins such as https://app.example whose pages may use the service, with "
            "commas between; * is any."
        ),
    ] = None

    fetch_allow: Annotated[
        str | None,
        Field(
            description="Hosts, host:port and networks that are fetched from although they are "
            "inside, with commas between."
        ),
    ] = None
    fetch_deny: Annotated[
        str | None,
        Field(description="The same of what is never fetched from; it beats FETCH_ALLOW."),
    ] = None
    fetch_ports: Annotated[
        str, Field(description="Ports that are fetched from, with commas between.")
    ] = "80,443"
    fetch_timeout: Annotated[
        Seconds, Field(description="Seconds for an image at an `image_url`, over all attempts.")
    ] = 30.0
    max_fetches: Annotated[
        int, Field(ge=1, le=1024, description="Images fetched at the same moment.")
    ] = 8
    max_redirects: Annotated[
        int, Field(ge=0, le=20, description="Redirects that are followed for one image.")
    ] = 5

    delivery_timeout: Annotated[
        Seconds, Field(description="Seconds for one attempt to deliver a webhook.")
    ] = 15.0
    max_deliveries: Annotated[
        int,
        Field(
            ge=1,
            le=1024,
            description="Webhooks that are delivered at the same moment, of a tenant half as many.",
        ),
    ] = 128
    delivery_attempts: Annotated[
        int, Field(ge=1, le=100, description="Attempts to deliver a webhook until it is dead.")
    ] = BACKOFF.attempts
    delivery_delay: Annotated[
        Seconds,
        Field(
            description="Seconds between its first two attempts, at most; each time twice as long."
        ),
    ] = BACKOFF.first
    max_delivery_delay: Annotated[
        Seconds, Field(description="The most seconds between two of its attempts.")
    ] = BACKOFF.longest
    delivery_lifetime: Annotated[
        Span,
        Field(description="Seconds until it is dead, also if its host was hardly ever asked."),
    ] = 3 * 24 * 60 * 60
    retain_deliveries: Annotated[
        Span, Field(description="Seconds that is known what became of a webhook.")
    ] = 7 * 24 * 60 * 60
    max_kept_deliveries: Annotated[
        Count, Field(description="Delivered and dead webhooks that are known; the oldest go first.")
    ] = 100_000

    rate_requests: Annotated[
        str, Field(description="Requests of each key, or of each address without one: 100/1m.")
    ] = OFF
    rate_bytes: Annotated[
        str, Field(description="Bytes of request bodies of each of them: 500M/1h.")
    ] = OFF
    rate_wrong_keys: Annotated[
        str, Field(description="Wrong keys that an address may try before it is 429.")
    ] = "100/1m"
    quota_jobs: Annotated[
        str, Field(description="Jobs of each of them that have not ended: 100.")
    ] = OFF
    quota_pixels: Annotated[
        str, Field(description="Pixels of the inputs of each of them in a day (UTC): 10G.")
    ] = OFF
    trusted_proxies: Annotated[
        str | None,
        Field(
            description="Addresses and networks of proxies whose `X-Forwarded-For` is believed, "
            "with commas between."
        ),
    ] = None

    max_connections: Annotated[Count, Field(description="Connections; beyond, 503.")] = 1000
    max_header_size: Annotated[
        int, Field(ge=1024, le=MIB, description="Bytes of a request's head.")
    ] = 16 * 1024
    keep_alive: Annotated[
        Seconds,
        Field(description="Seconds until an idle connection, or a slow request head, is closed."),
    ] = 15.0
    send_timeout: Annotated[
        Seconds,
        Field(description="Seconds without progress after which an answer is given up."),
    ] = 10.0
    ask_timeout: Annotated[
        Seconds, Field(description="Seconds a request waits for the actors before it is 503.")
    ] = 10.0
    max_wait: Annotated[Seconds, Field(description="The most seconds that `wait` may ask for.")] = (
        60.0
    )
    max_streams: Annotated[
        Count, Field(description="Open streams of events; beyond, 503 overloaded.")
    ] = 500
    max_tenant_streams: Annotated[
        Count, Field(description="The same of one tenant; beyond, 429 quota_exceeded.")
    ] = 100
    events_keep_alive: Annotated[
        Seconds,
        Field(description="Seconds without an event until a stream says that it is still there."),
    ] = 15.0
    events_kept: Annotated[
        Count, Field(description="Events that are kept for those who were away.")
    ] = 100_000
    events_age: Annotated[Seconds, Field(description="Seconds for which an event is kept.")] = (
        86_400.0
    )
    shutdown_grace: Annotated[
        Seconds,
        Field(description="Seconds for a graceful stop; two thirds of them for open requests."),
    ] = 30.0

    input_formats: Annotated[
        str,
        Field(
            description="Formats of images that are read, with commas between; tiff and heic are "
            "others, and heic needs the extra `heif`."
        ),
    ] = "jpeg,png,webp,gif,avif"
    max_pixels: Annotated[Count, Field(description="Width x height of an image.")] = (
        Limits().max_pixels
    )
    max_edge: Annotated[Count, Field(description="Width or height of an image.")] = (
        Limits().max_edge
    )
    max_frames: Annotated[Count, Field(description="Frames of an image.")] = Limits().max_frames
    max_total_pixels: Annotated[
        Count, Field(description="Width x height x frames of an image.")
    ] = Limits().max_total_pixels
    max_scans: Annotated[Count, Field(description="Scans of a JPEG.")] = Limits().max_scans
    max_chunks: Annotated[
        Count, Field(description="Chunks, markers or segments of an image file.")
    ] = Limits().max_chunks
    max_data_chunks: Annotated[
        Count, Field(description="Chunks of an image file that hold pixels.")
    ] = Limits().max_data_chunks
    max_render_seconds: Annotated[
        Count, Field(description="Seconds of a core that a render may take, by its plan.")
    ] = Limits().max_seconds

    otel_traces_exporter: Annotated[
        Literal["none", "otlp", "console"],
        Field(description="Where traces go; all but none needs the extra `otel`."),
    ] = "none"
    otel_sdk_disabled: Annotated[bool, Field(description="No traces, whatever else is said.")] = (
        False
    )

    log_format: Annotated[
        Literal["auto", "json", "console"],
        Field(description="auto: for people on a terminal, JSON elsewhere."),
    ] = "auto"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least level to log.")
    ] = "info"

    @field_validator("input_formats")
    @classmethod
    def _formats_are_known(cls, names: str) -> str:
        _formats(names)
        return names

    @field_validator("otel_traces_exporter", "otel_sdk_disabled", mode="before")
    @classmethod
    def _empty_is_unset(cls, said: object, info: ValidationInfo) -> object:
        # So say the specifications of OpenTelemetry.
        return said or cls.model_fields[str(info.field_name)].default

    @field_validator("otel_traces_exporter")
    @classmethod
    def _exporter_is_there(cls, exporter: str) -> str:
        if exporter != "none" and not _can_trace():
            raise ValueError("it needs OpenTelemetry: pip install 'calotype[otel]'")
        return exporter

    @field_validator("fetch_allow", "fetch_deny")
    @classmethod
    def _places_are_such(cls, places: str | None) -> str | None:
        parse_allowance(places or "")
        return places

    @field_validator("cors_origins")
    @classmethod
    def _origins_are_such(cls, origins: str | None) -> str | None:
        _origins(origins)
        return origins

    @field_validator("rate_requests", "rate_bytes", "rate_wrong_keys")
    @classmethod
    def _rates_are_such(cls, rate: str) -> str:
        parse_rate(rate)
        return rate

    @field_validator("quota_jobs", "quota_pixels")
    @classmethod
    def _quotas_are_such(cls, quota: str) -> str:
        parse_quota(quota)
        return quota

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies_are_such(cls, proxies: str | None) -> str | None:
        parse_proxies(proxies or "")
        return proxies

    @field_validator("fetch_ports")
    @classmethod
    def _ports_are_such(cls, ports: str) -> str:
        _ports(ports)
        return ports

    @model_validator(mode="after")
    def _places_differ(self) -> Self:
        if not self.db_path.name:
            raise ValueError("DB_PATH must name a file")
        uploads, outputs = self.upload_dir.resolve(), self.output_dir.resolve()
        if uploads.is_relative_to(outputs) or outputs.is_relative_to(uploads):
            raise ValueError("UPLOAD_DIR and OUTPUT_DIR must be two directories, side by side")
        return self

    @model_validator(mode="after")
    def _pool_fits(self) -> Self:
        if self.worker_pool_size > self.max_pool_size:
            raise ValueError(
                f"WORKER_POOL_SIZE={self.worker_pool_size} is more than "
                f"MAX_POOL_SIZE={self.max_pool_size}"
            )
        return self

    @property
    def needs_keys(self) -> bool:
        """Whether the service can be reached from elsewhere, and not by everybody."""
        return not self.allow_anonymous and not _is_loopback(self.host)

    @property
    def origins(self) -> frozenset[str]:
        """Whose pages may read answers."""
        return _origins(self.cors_origins)

    @property
    def repeats(self) -> Keeping:
        """How many answers a tenant may ask for again, and for how long."""
        return Keeping(self.max_idempotency_keys, timedelta(seconds=self.idempotency_age))

    @property
    def audit(self) -> Keeping:
        """How much of the audit is kept."""
        return Keeping(self.max_audit, timedelta(days=self.audit_days))

    @property
    def bounds(self) -> Bounds:
        """What each key or address may use."""
        return Bounds(
            requests=parse_rate(self.rate_requests),
            bytes=parse_rate(self.rate_bytes),
            jobs=parse_quota(self.quota_jobs),
            pixels=parse_quota(self.quota_pixels),
        )

    @property
    def allowance(self) -> Allowance:
        """Whom the service may ask for what clients have named."""
        return parse_allowance(
            self.fetch_allow or "", self.fetch_deny or "", _ports(self.fetch_ports)
        )

    @property
    def delivery_backoff(self) -> Backoff:
        """When a webhook is tried again that was not taken."""
        return Backoff(self.delivery_delay, self.max_delivery_delay, self.delivery_attempts)

    @property
    def outbox(self) -> OutboxRules:
        """How long webhooks are kept."""
        return OutboxRules(
            lifetime=timedelta(seconds=self.delivery_lifetime),
            kept=Keeping(self.max_kept_deliveries, timedelta(seconds=self.retain_deliveries)),
        )

    @property
    def retention(self) -> Rules:
        """How long things are kept."""
        return Rules(
            results=_span(self.retain_results),
            records=_span(self.retain_records),
            images=_span(self.retain_images),
            max_bytes=self.max_stored_bytes,
        )

    @property
    def image_limits(self) -> Limits:
        """The limits of an image."""
        return Limits(
            formats=_formats(self.input_formats),
            max_pixels=self.max_pixels,
            max_edge=self.max_edge,
            max_frames=self.max_frames,
            max_total_pixels=self.max_total_pixels,
            max_scans=self.max_scans,
            max_chunks=self.max_chunks,
            max_data_chunks=self.max_data_chunks,
            max_seconds=self.max_render_seconds,
        )


KEY_VARIABLE = "CALOTYPE_KEY"


class _OwnKey(BaseSettings):
    """What a client reads, and the service does not."""

    model_config = SettingsConfigDict(extra="ignore")

    calotype_key: SecretStr | None = None


def read_own_key() -> str | None:
    """Return the key in the environment of a client; None if there is none."""
    key = _OwnKey().calotype_key
    return (key.get_secret_value().strip() or None) if key else None


def _can_trace() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def _span(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _formats(names: str) -> frozenset[Format]:
    known: dict[str, Format] = {name: name for name in get_args(Format)}
    wanted = [name.strip().lower() for name in names.split(",")]
    if not known.keys() >= set(wanted):
        raise ValueError(f"name some of {', '.join(known)}")
    if "heic" in wanted and find_spec("pillow_heif") is None:
        raise ValueError("heic needs a decoder: pip install 'calotype[heif]'")
    return frozenset(known[name] for name in wanted)


def _ports(names: str) -> frozenset[int]:
    wanted = [name.strip() for name in names.split(",")]
    if not all(name.isascii() and name.isdigit() and 1 <= int(name) <= 65535 for name in wanted):
        raise ValueError("name ports from 1 to 65535, with commas between")
    return frozenset(map(int, wanted))


def _origins(names: str | None) -> frozenset[str]:
    wanted = [name.strip() for name in (names or "").split(",") if name.strip()]
    if not all(name == ANY or ORIGIN.fullmatch(name) for name in wanted):
        raise ValueError("name origins as browsers do, such as https://app.example:8443, or *")
    return frozenset(wanted)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_settings() -> Settings:
    """Return the settings, or say what is wrong with them and end the process with 2."""
    try:
        return Settings()
    except ValidationError as error:
        for each in error.errors():
            name = str(each["loc"][0]).upper() if each["loc"] else ""
            value = f"={each['input']!r}" if name else ""
            message = each["msg"].removeprefix("Value error, ")
            click.echo(f"calotype: {name}{value}: {message}".replace(": : ", ": "), err=True)
        sys.exit(2)
