"""Several generations as one stream of events, and the door that lets only so many in.

Knows tasks, queues and limits. Refuses to know HTTP and what an event means.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Generic, Self, TypeVar

from midcourse.server.errors import CallerError, MidcourseError

J = TypeVar("J")
E = TypeVar("E")

# Events of a request that its client has not read yet; a slow client stops its own generations, and nobody else's.
MAX_WAITING_EVENTS = 64


class Overloaded(MidcourseError):
    """Too many generations run and wait (HTTP 429)."""


class Gate:
    """Lets ``running`` generations run and ``waiting`` more wait for them."""

    def __init__(self, running: int, waiting: int) -> None:
        self._slots = asyncio.Semaphore(running)
        self._room = running + waiting
        self._inside = 0

    def check(self, generations: int) -> None:
        """Whether there is room for these; asked before a prompt is looked at, too, so that a flood costs little.

        Raises:
            CallerError: there would never be room for so many.
            Overloaded: there is no room now.
        """
        if generations > self._room:
            raise CallerError(f"{generations} choices at once; this server takes at most {self._room}", param="n")
        if self._inside + generations > self._room:
            raise Overloaded("The server is busy; try again in a moment.")

    @contextmanager
    def enter(self, generations: int) -> Iterator[asyncio.Semaphore]:
        """Room for these, each of which must still take its turn with the semaphore. Raises as ``check`` does."""
        self.check(generations)
        self._inside += generations
        try:
            yield self._slots
        finally:
            self._inside -= generations


class Fan(Generic[J, E]):
    """Runs ``jobs`` at once. Leaving the context cancels what still runs, and waits until it has stopped.

    Args:
        run: starts one job; its generator is closed in any case.
        slots: taken by each job while it runs.
    """

    def __init__(
        self, run: Callable[[J], AsyncGenerator[E, None]], jobs: Sequence[J], slots: asyncio.Semaphore
    ) -> None:
        self._run = run
        self._jobs = jobs
        self._slots = slots
        self._events: asyncio.Queue[tuple[int, E | None] | BaseException] = asyncio.Queue(MAX_WAITING_EVENTS)
        self._left = len(jobs)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ride(index, job)) for index, job in enumerate(self._jobs)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def next(self) -> tuple[int, E] | None:
        """The index of a job and its next event; None when all have ended.

        Raises:
            Exception: whatever a job raised.
        """
        while self._left:
            arrival = await self._events.get()
            if isinstance(arrival, BaseException):
                raise arrival
            index, event = arrival
            if event is not None:
                return index, event
            self._left -= 1
        return None

    async def _ride(self, index: int, job: J) -> None:
        try:
            async with self._slots, aclosing(self._run(job)) as events:
                async for event in events:
                    await self._events.put((index, event))
        except Exception as error:  # noqa: BLE001 -- handed to whoever reads
            await self._events.put(error)
        else:
            await self._events.put((index, None))
