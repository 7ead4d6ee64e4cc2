"""The wiring: which actors there are, in which order they start, and how they stop."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import trio

from actors.courier import Courier, Posting
from actors.dispatcher import Dispatcher
from actors.fetcher import Fetcher
from actors.mailbox import Address, open_mailbox
from actors.orders import Orders
from actors.patient_clock import PatientClock
from actors.store import Store, StoreLimits, utc_now
from actors.supervision import Activity, Actor, ActorStatistics, Intensity, supervise
from actors.surveyor import Surveyor
from actors.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from actors.fetcher import Fetching
    from actors.mailbox import Mailbox
    from actors.rendering.renderer import Renderer
    from actors.store import OpenStorage


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How much the system does at once, and how much may wait.

    `workers`: Workers at the start.
    `fetching_workers`: those that may wait for an image to be fetched; None is half of them.
    `storage_calls`: reads and writes of files at the same moment. `mail`: messages in a mailbox.
    """

    workers: int
    storage_calls: int
    mail: int
    store: StoreLimits
    fetching: Fetching
    fetching_workers: int | None = None
    posting: Posting = field(default_factory=Posting)
    intensity: Intensity = field(default_factory=Intensity)


class System:
    """The running actors. `front_door` is the Dispatcher's address.

    `renderer`, `storage` and `fetches` are what limits renders, storage calls and images that come
    in from elsewhere, to look at.
    """

    def __init__(
        self,
        capacity: Capacity,
        open_storage: OpenStorage,
        renderer: Renderer,
        nursery: trio.Nursery,
    ) -> None:
        self._capacity = capacity
        self._open_storage = open_storage
        self._nursery = nursery
        self._activities: list[Activity] = []
        self._hired = 0
        self._orders = Orders(capacity.workers)
        # A Store that crashes must not have its successor believe at once what it did not.
        self._age_clock = PatientClock(utc_now)
        self.renderer = renderer
        self.storage = trio.CapacityLimiter(capacity.storage_calls)
        self.fetches = trio.CapacityLimiter(capacity.fetching.places)
        self._store_door, self._store_mail = open_mailbox("store", capacity.mail)
        self._fetcher_door, self._fetcher_mail = open_mailbox("fetcher", capacity.mail)
        self._courier_door, self._courier_mail = open_mailbox("courier", 0)
        self._surveyor_door, self._surveyor_mail = open_mailbox("surveyor", capacity.mail)
        self.front_door, self._mail = open_mailbox("dispatcher", capacity.mail)

    def statistics(self) -> tuple[ActorStatistics, ...]:
        """Return what each actor is doing at this moment."""
        return tuple(activity.statistics() for activity in self._activities)

    async def start(self) -> None:
        """Start the actors from the bottom up; return when each has opened what it owns."""
        await self._start("store", self._store_mail, self._make_store)
        await self._start("fetcher", self._fetcher_mail, self._make_fetcher)
        door = self._store_door.clone()
        await self._start("courier", self._courier_mail, partial(self._make_courier, door), door)
        door = self._store_door.clone()
        await self._start("surveyor", self._surveyor_mail, partial(self._make_surveyor, door), door)
        await self._start(
            *("dispatcher", self._mail, self._make_dispatcher),
            *(self._store_door, self._fetcher_door, self._courier_door, self._surveyor_door),
        )

    async def _start(
        self,
        name: str,
        mailbox: Mailbox,
        make: Callable[[Mailbox, Activity], Actor],
        *doors: Address,
    ) -> None:
        """Supervise an actor. The `doors` below it close when it has left for good."""
        activity = Activity(name, mailbox)
        await self._nursery.start(self._run, activity, partial(make, mailbox, activity), doors)

    async def _run(
        self,
        activity: Activity,
        make: Callable[[], Actor],
        doors: tuple[Address, ...],
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        self._activities.append(activity)
        try:
            await supervise(make, activity, self._capacity.intensity, task_status=task_status)
        finally:
            self._activities.remove(activity)
            for door in doors:
                door.close()

    def _make_store(self, mailbox: Mailbox, activity: Activity) -> Actor:
        return Store(
            *(mailbox, self._open_storage, self._capacity.store, self.storage),
            *(self._orders, activity, self._age_clock),
        )

    def _make_fetcher(self, mailbox: Mailbox, activity: Activity) -> Actor:
        return Fetcher(
            *(mailbox, self._capacity.fetching, self.fetches, self._orders, activity),
            workers=self._capacity.fetching_workers,
        )

    def _make_courier(self, door: Address, mailbox: Mailbox, activity: Activity) -> Actor:
        return Courier(mailbox, door.clone(), self._capacity.posting, self._orders, activity)

    def _make_dispatcher(self, mailbox: Mailbox, activity: Activity) -> Actor:
        # Clones, because an actor closes what it holds when it crashes, and its successor
        # needs the door as well.
        return Dispatcher(
            *(mailbox, self._store_door.clone(), self._surveyor_door.clone()),
            *(self._hire, self._orders, activity),
            fetching=self._capacity.fetching_workers,
        )

    def _make_surveyor(self, door: Address, mailbox: Mailbox, activity: Activity) -> Actor:
        return Surveyor(mailbox, door.clone(), self.renderer, self.renderer.limits, activity)

    def _make_worker(
        self, store: Address, fetcher: Address, mailbox: Mailbox, activity: Activity
    ) -> Actor:
        return Worker(
            *(mailbox, store.clone(), fetcher.clone()),
            *(self.renderer, self.renderer.limits, activity),
        )

    async def _hire(self) -> Address:
        self._hired += 1
        name = f"worker-{self._hired}"
        address, mailbox = open_mailbox(name, 0)
        doors = self._store_door.clone(), self._fetcher_door.clone()
        await self._start(name, mailbox, partial(self._make_worker, *doors), *doors)
        return address


@asynccontextmanager
async def open_system(
    open_storage: OpenStorage,
    capacity: Capacity,
    renderer: Renderer,
    *,
    grace: Callable[[], float],
) -> AsyncIterator[System]:
    """Run the actors for the time of the block.

    Leaving the block closes the front door; the closing runs down the tree, and each actor
    finishes what it has. After `grace()` seconds the rest is cancelled.

    Raises:
      StorageError: if the storage cannot be opened.
      TooManyCrashes: if an actor keeps crashing; the block is cancelled.
    """
    async with trio.open_nursery() as nursery:
        system = System(capacity, open_storage, renderer, nursery)
        try:
            with system.front_door:
                await system.start()
                yield system
        finally:
            nursery.cancel_scope.deadline = trio.current_time() + grace()
