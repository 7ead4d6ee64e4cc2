"""All renders: as many at the same moment as there are cores for, and memory."""

from __future__ import annotations

import math
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import trio

from actors.imaging.facts import DEFAULT_LIMITS
from actors.rendering.memory import Memory
from actors.rendering.process import LAST, start_process
from actors.rendering.protocol import Duty

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from io import FileIO

    from actors.imaging.errors import ImageError
    from actors.imaging.facts import Limits
    from actors.rendering.process import Finished, RenderProcess

GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """How renders are done.

    `renders` at the same moment, by their plans in so many bytes of `memory` together; each for at
    most so many `seconds`. A process is replaced after `renders_per_process`, for whatever the
    codecs leak. Of the `environment` it knows what is said here.
    """

    renders: int
    limits: Limits = DEFAULT_LIMITS
    memory: int = 2 * GIB
    seconds: float = 120.0
    renders_per_process: int = 1000
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Renderer:
    """Owns the render processes, which are begun when they are needed, and then kept."""

    def __init__(self, rules: Rendering) -> None:
        self._rules = rules
        self._duty = Duty(rules.limits, math.ceil(rules.seconds))
        self._idle: list[RenderProcess] = []
        self.limits = rules.limits
        self.places = trio.CapacityLimiter(rules.renders)
        self.memory = Memory(rules.memory)

    async def render(
        self, image: FileIO, recipe: str, others: Mapping[str, FileIO] = MappingProxyType({})
    ) -> Finished | ImageError:
        """Return what `recipe`, which is JSON, makes of an image; or why there is nothing.

        The files are closed. Cancelling it stops the render, in less than a second.

        Raises:
          RenderDied: if its process has ended in the middle of it.
          NoRenderProcess, StorageUnavailable: if the system has none, or no thread.
        """
        with ExitStack() as files:
            for file in (image, *others.values()):
                files.enter_context(file)
            async with self.places:
                process = await self._process()
                try:
                    return await process.render(
                        image, recipe, others, self.memory, self._rules.seconds
                    )
                finally:
                    if process.is_free:
                        self._idle.append(process)
                    else:
                        process.kill()

    async def _process(self) -> RenderProcess:
        while self._idle:
            process = self._idle.pop()
            if process.is_free and process.renders < self._rules.renders_per_process:
                return process
            await process.end()
        return await start_process(self._duty, self._rules.environment)

    async def close(self) -> None:
        """End the processes; nobody may render any more."""
        for process in self._idle:
            process.kill()
        for process in self._idle:
            await process.end()
        self._idle.clear()


@asynccontextmanager
async def open_renderer(rules: Rendering) -> AsyncIterator[Renderer]:
    """Have a renderer for the time of the block."""
    renderer = Renderer(rules)
    try:
        yield renderer
    finally:
        with trio.move_on_after(LAST, shield=True):
            await renderer.close()
