import asyncio
from collections.abc import AsyncGenerator

import pytest

from midcourse.server.errors import CallerError
from midcourse.server.fan import MAX_WAITING_EVENTS, Fan, Gate, Overloaded


class Runner:
    """Counts from 0; remembers who runs, and how far everybody came."""

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.most = 0
        self.reached: dict[str, int] = {}

    async def run(self, job: str) -> AsyncGenerator[int, None]:
        self.running.add(job)
        self.most = max(self.most, len(self.running))
        try:
            for number in range(1_000 if job == "long" else 3):
                await asyncio.sleep(0)
                if job == "bad" and number == 1:
                    raise ValueError("bad job")
                self.reached[job] = number
                yield number
        finally:
            self.running.discard(job)


async def test_events_come_with_the_index_of_their_job_until_all_have_ended() -> None:
    runner = Runner()
    seen: list[tuple[int, int]] = []
    async with Fan(runner.run, ["a", "b"], asyncio.Semaphore(2)) as fan:
        while (arrival := await fan.next()) is not None:
            seen.append(arrival)
    assert sorted(seen) == [(job, number) for job in range(2) for number in range(3)]
    assert seen != sorted(seen)
    assert runner.most == 2


async def test_slots_bound_what_runs_at_once() -> None:
    runner = Runner()
    async with Fan(runner.run, list("abcdef"), asyncio.Semaphore(2)) as fan:
        while await fan.next() is not None:
            pass
    assert runner.most == 2


async def test_an_error_of_one_job_is_raised_and_the_others_are_cancelled() -> None:
    runner = Runner()

    async def read() -> None:
        async with Fan(runner.run, ["long", "bad"], asyncio.Semaphore(2)) as fan:
            while await fan.next() is not None:
                pass

    with pytest.raises(ValueError, match="bad job"):
        await read()
    assert runner.running == set()


async def test_leaving_early_cancels_what_runs_and_a_slow_reader_stops_it() -> None:
    runner = Runner()
    async with Fan(runner.run, ["long"], asyncio.Semaphore(1)) as fan:
        await fan.next()
        for _ in range(500):
            await asyncio.sleep(0)
        assert runner.running == {"long"}
        assert runner.reached["long"] <= MAX_WAITING_EVENTS + 2
    assert runner.running == set()


async def test_the_gate_counts_who_is_inside() -> None:
    gate = Gate(running=2, waiting=1)
    with pytest.raises(CallerError), gate.enter(4):
        pass
    with gate.enter(2):
        with pytest.raises(Overloaded), gate.enter(2):
            pass
        with gate.enter(1), pytest.raises(Overloaded), gate.enter(1):
            pass
    with gate.enter(3):
        pass
