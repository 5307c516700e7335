"""What holds for every test: asyncio under anyio, no deadlines that a busy machine would miss, one model."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import settings

from midcourse.server.embedded import EmbeddedEngine
from midcourse.server.weights import Weights
from tests import stores  # noqa: F401 - first of all: it takes its database out of the environment
from tests.tiny import smollm2_or_skip, tiny_weights

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def weights() -> Weights:
    """SmolLM2 in float32, loaded once."""
    return smollm2_or_skip()


@pytest.fixture(scope="session")
def engine(weights: Weights) -> Iterator[EmbeddedEngine]:
    """The embedded engine on those weights. Close the generations that you start."""
    engine = EmbeddedEngine(weights)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
def tiny(weights: Weights) -> Weights:
    """A fresh tiny model with the real tokenizer."""
    return tiny_weights(weights.tokenizer)
