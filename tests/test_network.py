"""The network under onnxruntime: what it has read stays read, and who else is in a call changes nothing of note.

Mostly on the graph in float32, which rounds nowhere else. In an int8 graph the last bit of a sum may tip an entry to
the next step, so that each ask has a call of its own.
"""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from midcourse.models.network import Answer, Ask, Network
from midcourse.train.cue_graph import graph_of
from midcourse.train.cue_int8 import quantised
from midcourse.train.cue_net import OUTPUTS
from tests.tiny_judge import arrays, exact, network, tiny_net

HALF = 2**-9  # far more than float32 needs
NET = tiny_net()
EXACT = exact(NET)
SMALL = network(quantised(graph_of(arrays(NET), NET.shape)), NET.shape)
IDS = [int(i) for i in np.random.default_rng(0).integers(0, NET.shape.vocabulary, 40)]

cuts = st.lists(st.integers(1, 39), max_size=8).map(lambda places: [0, *sorted(set(places)), 40])


def alone(network: Network, ids: list[int]) -> Answer:
    (answer,) = network.read([Ask(network.nothing(), ids)])
    return answer


def bit_by_bit(network: Network, cuts: list[int]) -> Answer:
    memory, scores = network.nothing(), []
    for start, end in pairwise(cuts):
        (answer,) = network.read([Ask(memory, IDS[start:end])])
        memory = np.concatenate([memory, answer.memory], axis=1)
        scores.append(answer.scores)
    return Answer(np.concatenate(scores), memory, network.unread())


def asks_of(network: Network) -> list[Ask]:
    """Asks of many lengths, some with a memory."""
    before = alone(network, IDS[:9]).memory
    return [
        Ask(network.nothing(), IDS[:3]),
        Ask(before, IDS[9:11]),
        Ask(network.nothing(), IDS[5:30]),
        Ask(before[:, :4], IDS[4:5]),
        Ask(network.nothing(), IDS[:1]),
        Ask(before, IDS[9:40]),
    ]


def test_every_token_has_its_scores_and_its_memory() -> None:
    answer = alone(EXACT, IDS)
    assert answer.scores.shape == (40, OUTPUTS) and answer.scores.dtype == np.float32
    assert answer.memory.shape == (4, 40, 2, 8) and answer.memory.dtype == np.float32
    assert EXACT.nothing().shape == (4, 0, 2, 8)
    assert float(np.ptp(answer.scores, axis=0).min()) > 0.1  # the heads say something


@settings(max_examples=25)
@given(cuts)
def test_reading_bit_by_bit_equals_reading_in_one_go(cuts: list[int]) -> None:
    whole, parts = alone(EXACT, IDS), bit_by_bit(EXACT, cuts)
    np.testing.assert_allclose(parts.scores, whole.scores, rtol=0, atol=HALF)
    np.testing.assert_allclose(parts.memory, whole.memory, rtol=0, atol=2 * HALF)


def test_what_comes_later_changes_nothing_before_it() -> None:
    np.testing.assert_allclose(alone(EXACT, IDS).scores[:7], alone(EXACT, IDS[:7]).scores, rtol=0, atol=1e-5)


def test_what_was_read_before_matters() -> None:
    (with_memory,) = EXACT.read([Ask(alone(EXACT, IDS[:9]).memory, IDS[9:12])])
    assert np.abs(with_memory.scores - alone(EXACT, IDS[9:12]).scores).max() > 0.05


@pytest.mark.parametrize("network", [EXACT, SMALL], ids=["float32", "int8"])
def test_neighbours_change_nothing_and_answers_keep_their_order(network: Network) -> None:
    asks = asks_of(network)
    together, each = network.read(asks), [network.read([ask])[0] for ask in asks]
    for ask, one, other in zip(asks, together, each, strict=True):
        assert len(one.scores) == one.memory.shape[1] == len(ask.new)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.memory, other.memory)


def test_no_asks_have_no_answers() -> None:
    assert EXACT.read([]) == []


def test_int8_stays_near_float32_alone_and_in_company() -> None:
    whole = alone(EXACT, IDS).scores
    spread = float(whole.std())
    assert np.abs(alone(SMALL, IDS).scores - whole).mean() < 0.1 * spread
    asks = asks_of(EXACT)
    for one, other in zip(SMALL.read(asks), EXACT.read(asks), strict=True):
        assert np.abs(one.scores - other.scores).mean() < 0.15 * spread
    parts = bit_by_bit(SMALL, [0, 3, 17, 40])
    assert np.abs(parts.scores - whole).mean() < 0.1 * spread


def test_int8_asked_twice_says_the_same() -> None:
    np.testing.assert_array_equal(alone(SMALL, IDS).scores, alone(SMALL, IDS).scores)
