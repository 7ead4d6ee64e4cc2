"""Logging: one line an event, for people on a terminal and JSON elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import structlog

from actors import tracing

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class StderrLines:
    """Writes each event as a line to standard error.

    A line that cannot be written is dropped: a disk that is full of logs must not end a job.
    """

    def msg(self, line: str) -> None:
        """Write `line`, if that is possible."""
        # If it is not, there is no other place to say so.
        with suppress(OSError):
            os.write(sys.stderr.fileno(), f"{line}\n".encode(errors="backslashreplace"))

    debug = info = warning = error = critical = exception = msg


def configure_logs(form: str, level: str) -> None:
    """Log to standard error from now on. `form` is `json`, `console` or `auto`."""
    renderers: list[Processor]
    if form == "console" or (form == "auto" and sys.stderr.isatty()):
        renderers = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # The default one shows local variables, and they hold clients' images.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    else:
        renderers = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_encode),
        ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _add_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: StderrLines(),
        cache_logger_on_first_use=True,
    )
    # What libraries have to say goes the same way, in their own form.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def _add_trace(_: object, __: str, event: EventDict) -> EventDict:
    event.update(tracing.ids())
    return event


def _encode(event: object, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
