"""The cue classifier: a judge that has read the prompt and the reasoning before the step.

The first layers of a small causal language model, with heads. Because it is causal, what it has read stays read: each
step costs only its own tokens, and the prompt's own risk is known before the first step. The memory of a stream is
found again by its prompt and the end of its context; when it is not (a trigger was put in, a server restarted, another
stream took its place) the context is read anew, with the same result but for what lay before the window.
"""

import gzip
import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from tokenizers import Tokenizer

from midcourse.guard.step import split
from midcourse.guard.verdict import Query, Verdict
from midcourse.models.card import FILE, ArtifactError, Card, read_card, read_file
from midcourse.models.layout import Layout
from midcourse.models.network import Answer, Ask, Memory, Network, Scores
from midcourse.models.normalise import normalised

BUILT_IN = Path(__file__).parent / "artifacts" / "cue"
STREAMS = 256
"""Memories kept, of streams and of prompts: 12 KB a token at 16 layers, so that a stream takes 8 MB when its window is
full, and 2 GB at worst all of them; without its memory a step costs a few times as much."""
TAIL = 300
"""Characters of context, without white space, by which a stream is known again."""
ANEW = 256
"""Tokens of context that are read again when a memory is lost: a dozen steps."""

STEP = slice(0, 4)
STEP_MEAN = slice(4, 8)
RISK, RISK_MEAN = 8, 9
NEUTRAL, CUE, HARMFUL, SAFETY = range(4)


@dataclass(frozen=True, slots=True)
class Read:
    """What is known of a stream: the memory of its tokens, its prompt's risk (a logit), the evidence of its steps."""

    memory: Memory
    risk: float
    evidence: float = 0.0


class CueJudge:
    """A judge from a folder with its card.

    Args:
        folder: the built-in judge, or one that ``midcourse cue export`` wrote.
        threads: of onnxruntime.
        streams: memories kept, of streams and of prompts.
        normalise: undo cheap evasions (``models.normalise``) before reading; off only to measure what that is worth.

    Raises:
        ArtifactError: the folder is not what its card says.
    """

    def __init__(
        self, folder: Path = BUILT_IN, *, threads: int = 1, streams: int = STREAMS, normalise: bool = True
    ) -> None:
        self.card: Card = read_card(folder)
        self.name = self.card.name
        tokenizer = Tokenizer.from_str(gzip.decompress(read_file(folder, self.card, "tokenizer.json.gz")).decode())
        self._layout = Layout(tokenizer, self.card.limits)
        self._network = Network(read_file(folder, self.card, "model.onnx.gz"), **self.card.shape, threads=threads)
        try:
            self._combine = Combine(**self.card.combine)
        except TypeError as error:
            raise ArtifactError(f"{folder / FILE}: combine: {error}; export the judge again") from error
        self._clean = lru_cache(maxsize=64)(normalised if normalise else str)
        self._streams = Recent[Read](streams)
        self._prompts = Recent[Read](streams)
        self._lock = threading.Lock()
        # The first tokens of a causal model carry outliers that would spoil the scale of everything read with them.
        self._opened = self._network.read([Ask(self._network.nothing(), self._layout.opens())])[0].memory

    def judge(self, queries: Sequence[Query]) -> list[Verdict]:
        """One verdict a query. An empty step asks for the prompt's risk alone, and counts as neutral."""
        with self._lock:
            self._read_prompts([query.prompt for query in queries])
            verdicts = {n: self._of_prompt(query) for n, query in enumerate(queries) if not query.step.strip()}
            for wave in waves(queries):
                verdicts |= self._judge_wave([(n, queries[n]) for n in wave])
        return [verdicts[n] for n in range(len(queries))]

    def _read_prompts(self, prompts: Sequence[str]) -> None:
        missing = [prompt for prompt in dict.fromkeys(prompts) if self._prompts.get(prompt) is None]
        asks = [Ask(self._opened, self._layout.prompt(self._clean(prompt))) for prompt in missing]
        for prompt, answer in zip(missing, self._network.read(asks), strict=True):
            memory = np.concatenate([self._opened, answer.memory])
            self._prompts.put(prompt, Read(memory, self._combine.risk(answer.scores)))

    def _of_prompt(self, query: Query) -> Verdict:
        return Verdict(1.0, 0.0, 0.0, 0.0, prompt_risk=sigmoid(self._prompt(query.prompt).risk))

    def _judge_wave(self, wave: Sequence[tuple[int, Query]]) -> dict[int, Verdict]:
        begun = [self._begin(query) for _, query in wave]
        answers = self._network.read([Ask(read.memory, [i for step in steps for i in step]) for read, steps in begun])
        return {
            n: self._finish(query, read, steps, answer)
            for (n, query), (read, steps), answer in zip(wave, begun, answers, strict=True)
        }

    def _begin(self, query: Query) -> tuple[Read, list[list[int]]]:
        """What is known before the step, and the token ids still to be read: steps of the context, then the step."""
        step = self._layout.step(self._clean(query.step))
        known = self._streams.pop(place(query.prompt, query.context))
        if known is not None and len(known.memory) + len(step) <= self._layout.limits.window:
            return known, [step]
        prompt = self._prompt(query.prompt)
        if not query.context:
            return prompt, [step]
        room = min(ANEW, self._layout.limits.window - len(prompt.memory) - len(step))
        return prompt, [*self._layout.tail([self._clean(s.strip()) for s in split(query.context)], room), step]

    def _prompt(self, prompt: str) -> Read:
        found = self._prompts.get(prompt)
        if found is None:  # more prompts in one call than are kept
            self._read_prompts([prompt])
            found = self._prompts.get(prompt)
        assert found is not None
        return found

    def _finish(self, query: Query, read: Read, steps: Sequence[Sequence[int]], answer: Answer) -> Verdict:
        at, evidence, verdict = 0, read.evidence, None
        for step in steps:
            verdict, evidence = self._combine.verdict(answer.scores[at : at + len(step)], read.risk, evidence)
            at += len(step)
        assert verdict is not None
        memory = np.concatenate([read.memory, answer.memory])
        after = place(query.prompt, query.context + query.step)
        self._streams.put(after, replace(read, memory=memory, evidence=evidence))
        return verdict


@dataclass(frozen=True, slots=True)
class Combine:
    """Step, prompt and what came before, on the logit scale: one score.

    ``unsafe = sigmoid(step * u + prompt * min(r, prompt_most) + before * e + bias)`` with u the step's logit of cue or
    harmful against the rest, r the logit of the prompt's risk, and e the evidence: e' = keep * e + u, so that a second
    step in the same direction weighs more (two-step hysteresis is keep = 0 with a threshold on the sum). The prompt's
    part is bounded, so that a request, however bad, does not by itself flag a step that only restates it.
    """

    step: float
    prompt: float
    before: float
    bias: float
    keep: float
    prompt_most: float = 100.0
    risk_scale: float = 1.0
    risk_bias: float = 0.0

    def risk(self, scores: Scores) -> float:
        """The logit of the prompt's risk, of the scores of its tokens: (tokens, outputs)."""
        raw = float(scores[-1, RISK] + scores[:, RISK_MEAN].mean())
        return self.risk_scale * raw + self.risk_bias

    def verdict(self, scores: Scores, risk: float, evidence: float) -> tuple[Verdict, float]:
        """The verdict of a step from the scores of its tokens, and the evidence after it."""
        logits = (scores[-1, STEP] + scores[:, STEP_MEAN].mean(axis=0)).astype(float)
        along = np.logaddexp(logits[CUE], logits[HARMFUL]) - np.logaddexp(logits[NEUTRAL], logits[SAFETY])
        unsafe = sigmoid(
            self.step * along + self.prompt * min(risk, self.prompt_most) + self.before * evidence + self.bias
        )
        cue = sigmoid(logits[CUE] - logits[HARMFUL])
        neutral = sigmoid(logits[NEUTRAL] - logits[SAFETY])
        verdict = Verdict(
            neutral=(1 - unsafe) * neutral,
            cue=unsafe * cue,
            harmful=unsafe * (1 - cue),
            safety=(1 - unsafe) * (1 - neutral),
            prompt_risk=sigmoid(risk),
        )
        return verdict, self.keep * evidence + float(along)


T = TypeVar("T")


class Recent(Generic[T]):
    """The most recently used values."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, T] = OrderedDict()

    def get(self, key: str) -> T | None:
        """The value, which stays."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def pop(self, key: str) -> T | None:
        """The value, which goes."""
        return self._kept.pop(key, None)

    def put(self, key: str, value: T) -> None:
        """Keep a value; the one that was not used for longest may go."""
        self._kept[key] = value
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


def place(prompt: str, context: str) -> str:
    """Where a stream stands: its prompt, and the end of what was generated. White space tells nothing."""
    end = "".join(context[-4 * TAIL :].split())[-TAIL:]
    return hashlib.blake2b(f"{prompt}\0{end}".encode(errors="replace"), digest_size=16).hexdigest()


def waves(queries: Sequence[Query]) -> list[list[int]]:
    """Numbers of the queries with a step, such that a step comes in a later wave than the one it follows."""
    wave_after: dict[str, int] = {}
    found: list[list[int]] = []
    for n, query in enumerate(queries):
        if not query.step.strip():
            continue
        wave = wave_after.get(place(query.prompt, query.context), 0) if query.context else 0
        wave_after[place(query.prompt, query.context + query.step)] = wave + 1
        if wave == len(found):
            found.append([])
        found[wave].append(n)
    return found


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x), without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
