"""The settings, from the environment. The only place that reads it."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from actors.imaging.facts import Limits

MIB = 1024 * 1024


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class Settings(BaseSettings):
    """Every setting has the name of its field in capitals as its environment variable."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port to listen on; 0 is any free one.")
    ] = 8080
    allow_anonymous: Annotated[
        bool, Field(description="Listen beyond loopback although anybody may then do anything.")
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

    worker_pool_size: Annotated[PositiveInt, Field(description="Workers at the start.")] = 10
    max_pool_size: Annotated[
        PositiveInt, Field(description="The most Workers that PATCH /pool may ask for.")
    ] = 256
    max_renders: Annotated[
        PositiveInt, Field(description="Renders at the same moment; by default one a core.")
    ] = Field(default_factory=_cores)
    storage_threads: Annotated[
        PositiveInt, Field(description="Reads and writes of files at the same moment.")
    ] = 8
    store_asks: Annotated[
        PositiveInt, Field(description="Requests that the Store works on at the same moment.")
    ] = 64
    mailbox_size: Annotated[
        PositiveInt, Field(description="Messages that wait for an actor before it is 503.")
    ] = 256

    max_pending: Annotated[
        PositiveInt, Field(description="Pending jobs; a submit beyond them is 503 overloaded.")
    ] = 100_000
    max_attempts: Annotated[
        PositiveInt, Field(description="How often a job may be begun before a crash is final.")
    ] = 3

    max_upload_size: Annotated[PositiveInt, Field(description="Bytes of an image.")] = 10 * MIB
    max_json_size: Annotated[
        PositiveInt, Field(description="Bytes of a request's JSON besides the image.")
    ] = MIB
    upload_memory: Annotated[
        PositiveInt,
        Field(description="Bytes of request bodies in memory; what is more waits on the disk."),
    ] = 64 * MIB
    spilled_uploads: Annotated[
        PositiveInt, Field(description="Bodies taken back from the disk at the same moment.")
    ] = 4
    min_body_rate: Annotated[
        PositiveInt, Field(description="Bytes a second below which a body is cut with 408.")
    ] = 1024
    body_rate_period: Annotated[
        PositiveFloat, Field(description="Seconds over which that speed is measured.")
    ] = 30.0

    max_connections: Annotated[PositiveInt, Field(description="Connections; beyond, 503.")] = 1000
    max_header_size: Annotated[PositiveInt, Field(description="Bytes of a request's head.")] = (
        16 * 1024
    )
    keep_alive: Annotated[
        PositiveFloat,
        Field(description="Seconds until an idle connection, or a slow request head, is closed."),
    ] = 15.0
    send_timeout: Annotated[
        PositiveFloat,
        Field(description="Seconds without progress after which an answer is given up."),
    ] = 10.0
    ask_timeout: Annotated[
        PositiveFloat, Field(description="Seconds a request waits for the actors before it is 503.")
    ] = 10.0
    max_wait: Annotated[
        PositiveFloat, Field(description="The most seconds that `wait` may ask for.")
    ] = 60.0
    shutdown_grace: Annotated[
        PositiveFloat,
        Field(description="Seconds for a graceful stop; two thirds of them for open requests."),
    ] = 30.0

    max_pixels: Annotated[PositiveInt, Field(description="Width x height of an image.")] = (
        Limits().max_pixels
    )
    max_edge: Annotated[PositiveInt, Field(description="Width or height of an image.")] = (
        Limits().max_edge
    )
    max_frames: Annotated[PositiveInt, Field(description="Frames of an image.")] = (
        Limits().max_frames
    )
    max_total_pixels: Annotated[
        PositiveInt, Field(description="Width x height x frames of an image.")
    ] = Limits().max_total_pixels
    max_scans: Annotated[PositiveInt, Field(description="Scans of a JPEG.")] = Limits().max_scans
    max_chunks: Annotated[
        PositiveInt, Field(description="Chunks, markers or segments of an image file.")
    ] = Limits().max_chunks
    max_data_chunks: Annotated[
        PositiveInt, Field(description="Chunks of an image file that hold pixels.")
    ] = Limits().max_data_chunks

    log_format: Annotated[
        Literal["auto", "json", "console"],
        Field(description="auto: for people on a terminal, JSON elsewhere."),
    ] = "auto"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least level to log.")
    ] = "info"

    @model_validator(mode="after")
    def _stays_on_loopback(self) -> Self:
        if not self.allow_anonymous and not _is_loopback(self.host):
            raise ValueError(
                f"HOST={self.host} is reachable from elsewhere, and anybody there could use the "
                "service: set ALLOW_ANONYMOUS=1 if that is meant"
            )
        return self

    @model_validator(mode="after")
    def _directories_differ(self) -> Self:
        if self.upload_dir.resolve() == self.output_dir.resolve():
            raise ValueError("UPLOAD_DIR and OUTPUT_DIR must be two directories")
        return self

    @property
    def image_limits(self) -> Limits:
        """The limits of an image."""
        return Limits(
            max_pixels=self.max_pixels,
            max_edge=self.max_edge,
            max_frames=self.max_frames,
            max_total_pixels=self.max_total_pixels,
            max_scans=self.max_scans,
            max_chunks=self.max_chunks,
            max_data_chunks=self.max_data_chunks,
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
