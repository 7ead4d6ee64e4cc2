"""The Surveyor: looks at images without making anything of them."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import structlog
import trio

from actors import metrics
from actors.errors import AskFailed
from actors.imaging.errors import ImageError, ImagingCrashed, UnsupportedFormat, contained
from actors.imaging.inspect import inspect
from actors.imaging.plan import Plan, foresee
from actors.imaging.recipe import Output, Recipe, encode_recipe
from actors.messages import FindImage, Foresee, Keep, KeepImage, Open
from actors.priority import give_way
from actors.rendering.process import RenderDied, held
from actors.rendering.protocol import contents
from actors.storage.ports import StorageError
from actors.threads import in_thread

if TYPE_CHECKING:
    from io import FileIO

    from actors.imaging.facts import Facts, Limits
    from actors.mailbox import Address, Envelope, Mailbox
    from actors.rendering.renderer import Renderer
    from actors.storage.ports import ImageRecord
    from actors.supervision import Activity

log = structlog.get_logger("calotype.surveyor")

FACTS = encode_recipe(Recipe((Output(format="json"),)))


class Surveyor:
    """Owns no state. Each message is a task of its own, which waits for a render and the Store."""

    def __init__(
        self,
        mailbox: Mailbox,
        store: Address,
        renderer: Renderer,
        limits: Limits,
        activity: Activity,
    ) -> None:
        self._mailbox = mailbox
        self._store = store
        self._renderer = renderer
        self._limits = limits
        self._activity = activity
        self._places = trio.Semaphore(int(renderer.places.total_tokens))

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
                return await self._keep(message, envelope)
            case Foresee(image, recipe, tenant=tenant):
                return await self._foresee(image, recipe, tenant)
            case other:
                raise TypeError(other)

    async def _keep(self, message: Keep, envelope: Envelope) -> ImageRecord | ImageError | None:
        with envelope.while_wanted():
            surveyed = await self._survey(message.data)
            if isinstance(surveyed, ImageError):
                return surveyed
        if envelope.abandoned:
            return None  # Nobody would ever know its id.
        tenant, once = message.tenant, message.once
        return await self._store.ask(KeepImage(message.data, *surveyed, tenant=tenant, once=once))

    async def _survey(self, data: bytes) -> tuple[Facts, str] | ImageError:
        facts = await in_thread(partial(_inspect, data, self._limits), self._renderer.places)
        if isinstance(facts, ImageError):
            return facts
        try:
            finished = await self._renderer.render(await held(data), FACTS)
        except RenderDied as died:
            metrics.DEATHS.inc()
            digest = sha256(data).hexdigest()
            log.error("survey_died", sha256=digest, why=str(died))  # noqa: TRY400  (it is all)
            return UnsupportedFormat("This image has ended the process that looked at it.")
        if isinstance(finished, ImageError):
            return _told(finished)
        (portrait,) = finished.made
        return facts, portrait.data.decode()

    async def _foresee(self, image: bytes | str, recipe: Recipe, tenant: str) -> Plan | ImageError:
        for image_id in recipe.needs:
            await self._store.ask(FindImage(image_id, tenant=tenant))
        file = await held(image) if isinstance(image, bytes) else await self._opened(image, tenant)
        with file:
            work = partial(_foresee, file, recipe, self._limits)
            return await in_thread(work, self._renderer.places)

    async def _opened(self, image_id: str, tenant: str) -> FileIO:
        record = await self._store.ask(FindImage(image_id, tenant=tenant))
        return await self._store.ask(Open(record.key))


# What is wrong with an image is returned and not raised, for the reason that `worker` gives.


def _conclude(envelope: Envelope, answer: ImageRecord | Plan | ImageError | None) -> None:
    if isinstance(answer, ImageError):
        envelope.fail(answer)
    else:
        envelope.answer(answer)


def _inspect(data: bytes, limits: Limits) -> Facts | ImageError:
    give_way()
    try:
        with contained():
            return inspect(data, limits)
    except ImageError as error:
        return _told(error)


def _foresee(image: FileIO, recipe: Recipe, limits: Limits) -> Plan | ImageError:
    give_way()
    try:
        with contained():
            return foresee(contents(image), recipe, limits)
    except ImageError as error:
        return _told(error)


def _told(error: ImageError) -> ImageError:
    """Return the error as the asker hears it: without the frames that it comes from."""
    if isinstance(error, ImagingCrashed):
        notes = "".join(getattr(error, "__notes__", ()))
        log.error("survey_crashed", exc_info=error, bug=notes)
    return type(error)(*error.args)
