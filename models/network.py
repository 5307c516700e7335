"""Layers of the cue network under onnxruntime: tokens in, scores of every token out, and a memory of them.

Knows arrays and one graph (``train.cue_graph`` writes it). Refuses to know texts, labels and streams.
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Memory = NDArray[np.float32]
"""Keys and values of the tokens so far: (2 x layers, tokens, heads, width). Half of the precision would be half of the
size, and turning it back would cost as much as reading a step."""
Scores = NDArray[np.float32]
"""What the heads say of each token: (tokens, outputs)."""
Hidden = NDArray[np.float16]
"""What the lower layers made of each token: (tokens, model width)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Tokens to read after a memory, at least one: their ids, or what the layers below made of them."""

    memory: Memory
    new: Sequence[int] | Hidden


@dataclass(frozen=True, slots=True)
class Answer:
    """One row a token of ``Ask.new``; ``memory`` is theirs alone. ``hidden`` is empty where no layers follow."""

    scores: Scores
    memory: Memory
    hidden: Hidden


class Network:
    """One session.

    Args:
        packed: the graph, compressed by gzip.
        layers, heads, width: the shape of its memory.
        hidden: the model's width.
        threads: of one call; steps are small, so more than two rarely pay.
    """

    def __init__(self, packed: bytes, *, layers: int, heads: int, width: int, hidden: int, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait by spinning would take the cores of the model that is being guarded.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(gzip.decompress(packed), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._shape = (2 * layers, heads, width)
        self._hidden = hidden

    def nothing(self) -> Memory:
        """The memory before the first token."""
        layers, *rest = self._shape
        return np.zeros((layers, 0, *rest), np.float32)

    def unread(self) -> Hidden:
        """No tokens, as what the layers below made of them."""
        return np.zeros((0, self._hidden), np.float16)

    def read(self, asks: Sequence[Ask]) -> list[Answer]:
        """Answers in order, each of a call of its own.

        In a common call padding would move the last bits of sums, which int8 makes large: a verdict would hang on its
        neighbours. Nor would that be faster (``docs/log.md``).
        """
        return [self._call(ask) for ask in asks]

    def _call(self, ask: Ask) -> Answer:
        new = np.asarray(ask.new, np.int64 if self._input == "ids" else np.float16)
        past, length = ask.memory[:, None], np.array([ask.memory.shape[1]], np.int64)  # (2 x layers, 1, tokens, ...)
        feed = {self._input: new[None], "past": past, "past_len": length}
        found: Any = dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))
        hidden = found["hidden"][0] if "hidden" in found else self.unread()  # none where no layers follow
        return Answer(found["scores"][0], found["present"][:, 0], hidden)
