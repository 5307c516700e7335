"""The cue network under onnxruntime: tokens in, scores of every token out, and a memory that need not be read twice.

Knows arrays and one graph (``train.cue_graph`` writes it). Refuses to know texts, labels and streams.
"""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Memory = NDArray[np.float16]
"""Keys and values of the tokens so far: (tokens, 2 x layers, heads, width)."""
Scores = NDArray[np.float32]
"""What the heads say of each token: (tokens, outputs)."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Tokens to read after a memory. ``ids`` holds at least one."""

    memory: Memory
    ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Answer:
    """One row a token of ``Ask.ids``; ``memory`` is theirs alone."""

    scores: Scores
    memory: Memory


class Network:
    """One session.

    Args:
        packed: the graph, compressed by gzip.
        layers, heads, width: the shape of its memory.
        threads: of one call; steps are small, so more than two rarely pay.
        batch_tokens: padded tokens in one call at most, those of memories as well, which bounds what it needs: 4,096
            tokens need about 200 MB. One ask is never cut.
    """

    def __init__(
        self, packed: bytes, *, layers: int, heads: int, width: int, threads: int = 1, batch_tokens: int = 4_096
    ) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait by spinning would take the cores of the model that is being guarded.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(gzip.decompress(packed), options, providers=["CPUExecutionProvider"])
        self._shape = (2 * layers, heads, width)
        self._batch_tokens = batch_tokens

    def nothing(self) -> Memory:
        """The memory before the first token."""
        return np.zeros((0, *self._shape), np.float16)

    def read(self, asks: Sequence[Ask]) -> list[Answer]:
        """Answers in order. Asks of like length share a call."""
        answers: list[Answer | None] = [None] * len(asks)
        order = sorted(range(len(asks)), key=lambda n: len(asks[n].ids))
        while order:
            group = self._group(asks, order)
            for n, answer in zip(group, self._call([asks[n] for n in group]), strict=True):
                answers[n] = answer
        return [answer for answer in answers if answer is not None]

    def _group(self, asks: Sequence[Ask], order: list[int]) -> list[int]:
        """Take the longest asks from the end of ``order``, as many as one call may hold."""
        group: list[int] = []
        news = olds = 0
        while order:
            ask = asks[order[-1]]
            news, olds = max(news, len(ask.ids)), max(olds, len(ask.memory))
            if group and (len(group) + 1) * (news + olds) > self._batch_tokens:
                break
            group.append(order.pop())
        return group

    def _call(self, asks: Sequence[Ask]) -> list[Answer]:
        rows, news = len(asks), max(len(ask.ids) for ask in asks)
        olds = max(len(ask.memory) for ask in asks)
        ids = np.zeros((rows, news), np.int64)  # (batch, new tokens)
        if rows == 1:
            past = asks[0].memory[None]
        else:
            past = np.zeros((rows, olds, *self._shape), np.float16)  # (batch, old tokens, 2 x layers, heads, width)
            for row, ask in enumerate(asks):
                past[row, : len(ask.memory)] = ask.memory
        for row, ask in enumerate(asks):
            ids[row] = [*ask.ids, *[ask.ids[-1]] * (news - len(ask.ids))]  # padding that no scale of int8 feels
        lengths = np.array([len(ask.memory) for ask in asks], np.int64)
        found: Any = self._session.run(["scores", "present"], {"ids": ids, "past": past, "past_len": lengths})
        scores, present = found
        return [Answer(scores[row, : len(ask.ids)], present[row, : len(ask.ids)]) for row, ask in enumerate(asks)]
