"""Reads what an embedded engine generates."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from midcourse.guard.delta import Delta
from midcourse.server.embedded import EmbeddedEngine, EmbeddedGeneration
from midcourse.server.engine import Sampling
from midcourse.server.weights import Weights


@asynccontextmanager
async def opened(weights: Weights) -> AsyncIterator[EmbeddedEngine]:
    engine = EmbeddedEngine(weights)
    yield engine
    await engine.close()


async def read_all(generation: EmbeddedGeneration) -> list[Delta]:
    deltas: list[Delta] = []
    while not deltas or deltas[-1].finish_reason is None:
        deltas += await generation.read()
    return deltas


async def read_some(generation: EmbeddedGeneration, count: int) -> list[Delta]:
    deltas: list[Delta] = []
    while len(deltas) < count:
        deltas += await generation.read()
    return deltas


async def complete(engine: EmbeddedEngine, prompt: tuple[int, ...], sampling: Sampling) -> list[Delta]:
    generation = engine.start(prompt, sampling)
    deltas = await read_all(generation)
    await generation.close()
    return deltas


def ids_of(deltas: Sequence[Delta]) -> tuple[int, ...]:
    return tuple(token for delta in deltas for token in delta.token_ids)


def text_of(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas)
