"""Whose turn it is, and how a generation, the model thread or the whole engine ends."""

import asyncio
import threading

import pytest

from midcourse.server.embedded import EmbeddedEngine
from midcourse.server.engine import Sampling
from midcourse.server.errors import EngineError
from midcourse.server.weights import Weights
from tests.reading import complete, ids_of, opened, read_all
from tests.tiny import TinyLlama

GREEDY = Sampling(max_tokens=24, temperature=0)
QUESTION = "The three largest cities of France are"


async def test_three_completions_take_turns(tiny: Weights) -> None:
    assert isinstance(tiny.model, TinyLlama)
    gate = threading.Event()
    tiny.model.before = gate.wait
    async with opened(tiny) as engine:
        sampling = Sampling(max_tokens=20, temperature=0)
        generations = [engine.start((5, 6, first), sampling) for first in (7, 8, 9)]
        gate.set()
        await asyncio.gather(*(read_all(generation) for generation in generations))
    turns = tiny.model.caches
    assert len(turns) == 60
    assert len(set(turns)) == 3
    assert all(len(set(turns[at : at + 3])) == 3 for at in range(58))


async def test_one_closed_before_its_prefill_never_runs(tiny: Weights) -> None:
    assert isinstance(tiny.model, TinyLlama)
    gate = threading.Event()
    tiny.model.before = gate.wait
    async with opened(tiny) as engine:
        first, second = (engine.start((5, 6, 7), Sampling(max_tokens=4)) for _ in range(2))
        waiting = asyncio.ensure_future(second.read())
        await asyncio.sleep(0)
        assert engine.running == 2
        await second.close()
        await second.close()
        assert engine.running == 1
        gate.set()
        with pytest.raises(EngineError, match="was closed"):
            await waiting
        await read_all(first)
        await first.close()
        assert second.forwarded == 0
        assert engine.running == 0


async def test_one_closed_in_mid_run_stops_within_a_token(tiny: Weights) -> None:
    async with opened(tiny) as engine:
        generation = engine.start((5, 6, 7), Sampling(temperature=0))
        await generation.read()
        await generation.close()
        at_close = generation.forwarded
        await complete(engine, (5,), Sampling(max_tokens=20))
        assert generation.forwarded - at_close <= 1
        with pytest.raises(EngineError, match="was closed"):
            await generation.resume((), " no", 1)


async def test_a_failing_forward_ends_its_own_generation_only(tiny: Weights) -> None:
    assert isinstance(tiny.model, TinyLlama)

    def fail() -> None:
        raise ValueError("out of cheese")

    async with opened(tiny) as engine:
        tiny.model.before = fail
        broken = engine.start((5,), Sampling(max_tokens=3))
        for _ in range(2):
            with pytest.raises(EngineError, match=r"the model failed$"):
                await broken.read()
        tiny.model.before = lambda: None
        assert len(await complete(engine, (5,), Sampling(max_tokens=3))) == 3
        assert engine.running == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("logprobs", [None, 1])
async def test_a_dead_thread_leaves_nobody_waiting(tiny: Weights, logprobs: int | None) -> None:
    assert isinstance(tiny.model, TinyLlama)
    engine = EmbeddedEngine(tiny)
    resumed = engine.start((5,), Sampling(max_tokens=3, logprobs=logprobs))
    kept = ids_of(await read_all(resumed))[:1]

    def die() -> None:
        raise SystemExit

    tiny.model.before = die
    reading = engine.start((6,), Sampling(max_tokens=3))
    with pytest.raises(EngineError, match="thread died"):
        await reading.read()
    with pytest.raises(EngineError, match="thread died"):
        await resumed.resume(kept, " no", 1)
    with pytest.raises(EngineError, match="thread died"):
        engine.start((5,), Sampling())
    await engine.close()


async def test_a_resume_that_waits_for_scores_hears_of_the_failure(tiny: Weights) -> None:
    assert isinstance(tiny.model, TinyLlama)

    def fail() -> None:
        raise ValueError("out of cheese")

    async with opened(tiny) as engine:
        generation = engine.start((5,), Sampling(max_tokens=3, logprobs=1))
        await read_all(generation)
        tiny.model.before = fail
        with pytest.raises(EngineError, match=r"the model failed$"):
            await generation.resume((), " no", 1)


async def test_closing_the_engine_ends_everything(tiny: Weights) -> None:
    engine = EmbeddedEngine(tiny)
    generation = engine.start((5, 6, 7), Sampling())
    await engine.close()
    await engine.close()
    with pytest.raises(EngineError, match="engine was closed"):
        await read_all(generation)
    with pytest.raises(EngineError, match="engine was closed"):
        engine.start((5,), Sampling())
    assert engine.running == 0
