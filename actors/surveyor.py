"""The Surveyor: looks at images without making anything of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from actors.errors import AskFailed
from actors.imaging.errors import ImageError, ImagingCrashed, RenderStopped, contained
from actors.imaging.inspect import inspect
from actors.imaging.plan import Plan, foresee
from actors.imaging.recipe import Output, Recipe
from actors.imaging.render import render
from actors.messages import FindImage, Foresee, Keep, KeepImage, Load
from actors.priority import give_way
from actors.storage.ports import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.imaging.facts import Facts, Limits
    from actors.mailbox import Address, Envelope, Mailbox
    from actors.storage.ports import ImageRecord
    from actors.supervision import Activity

log = structlog.get_logger("calotype.surveyor")

FACTS = Recipe((Output(format="json"),))


class Surveyor:
    """Owns no state. Each message is a task of its own, which waits for a thread and the Store."""

    def __init__(
        self,
        mailbox: Mailbox,
        store: Address,
        cpu: trio.CapacityLimiter,
        limits: Limits,
        activity: Activity,
    ) -> None:
        self._mailbox = mailbox
        self._store = store
        self._cpu = cpu
        self._limits = limits
        self._activity = activity
        self._places = trio.Semaphore(int(cpu.total_tokens))

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work until the mailbox ends, then finish what is in hand."""
        with self._store:
            async with trio.open_nursery() as work:
                task_status.started()
                self._activity.doing = "serving"
                async for envelope in self._mailbox:
                    self._activity.handled += 1
                    await envelope.take_place(self._places)
                    work.start_soon(self._handle, envelope)
                    # The next may be long in coming, and this one holds an image.
                    del envelope
                self._activity.doing = "finishing"

    async def _handle(self, envelope: Envelope) -> None:
        try:
            with envelope:
                if envelope.abandoned:
                    return
                try:
                    _conclude(envelope, await self._answer(envelope))
                except (StorageError, AskFailed) as error:
                    envelope.fail(error)
        finally:
            self._places.release()

    async def _answer(self, envelope: Envelope) -> ImageRecord | Plan | ImageError | None:
        match envelope.message:
            case Keep() as message:
                return await self._keep(message, lambda: envelope.abandoned)
            case Foresee(image, recipe, tenant=tenant):
                return await self._foresee(image, recipe, tenant)
            case other:
                raise TypeError(other)

    async def _keep(
        self, message: Keep, abandoned: Callable[[], bool]
    ) -> ImageRecord | ImageError | None:
        surveyed = await trio.to_thread.run_sync(
            _survey, message.data, self._limits, abandoned, limiter=self._cpu
        )
        if isinstance(surveyed, ImageError):
            return surveyed
        if surveyed is None or abandoned():
            return None  # Nobody would ever know its id.
        tenant, once = message.tenant, message.once
        return await self._store.ask(KeepImage(message.data, *surveyed, tenant=tenant, once=once))

    async def _foresee(self, image: bytes | str, recipe: Recipe, tenant: str) -> Plan | ImageError:
        for image_id in recipe.needs:
            await self._store.ask(FindImage(image_id, tenant=tenant))
        if isinstance(image, str):
            record = await self._store.ask(FindImage(image, tenant=tenant))
            image = await self._store.ask(Load(record.key))
        return await trio.to_thread.run_sync(
            _foresee, image, recipe, self._limits, limiter=self._cpu
        )


# What is wrong with an image is returned and not raised, for the reason that `worker` gives.


def _conclude(envelope: Envelope, answer: ImageRecord | Plan | ImageError | None) -> None:
    if isinstance(answer, ImageError):
        envelope.fail(answer)
    else:
        envelope.answer(answer)


def _survey(
    data: bytes, limits: Limits, abandoned: Callable[[], bool]
) -> tuple[Facts, str] | ImageError | None:
    give_way()
    try:
        with contained():
            (portrait,) = render(data, FACTS, limits, abandoned)
            return inspect(data, limits), portrait.data.decode()
    except ImageError as error:
        return _told(error)
    except RenderStopped:
        return None


def _foresee(data: bytes, recipe: Recipe, limits: Limits) -> Plan | ImageError:
    give_way()
    try:
        with contained():
            return foresee(data, recipe, limits)
    except ImageError as error:
        return _told(error)


def _told(error: ImageError) -> ImageError:
    """Return the error as the asker hears it: without the frames that it comes from."""
    if isinstance(error, ImagingCrashed):
        log.error("survey_crashed", exc_info=error)
    return type(error)(*error.args)
