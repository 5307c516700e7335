"""The cue classifier: a judge that has read the prompt and the reasoning before the step.

The first layers of a small causal language model, with heads. Because it is causal, what it has read stays read: each
step costs only its own tokens, and the prompt's own risk is known before the first step. The lower layers settle the
steps that are plainly innocent, all of them the others (``models.depth``). The memory of a stream is found again by its
prompt and the end of its context; when it is not (a trigger was put in, a server restarted, another stream took its
place) the context is read anew, with the same result but for what lay before the window.
"""

import gzip
import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from tokenizers import Tokenizer

from midcourse.guard.lexical import prompt_logit
from midcourse.guard.step import split
from midcourse.guard.verdict import Query, Verdict
from midcourse.models.card import FILE, ArtifactError, Card, read_card, read_file
from midcourse.models.depth import Depths, Past
from midcourse.models.layout import Layout
from midcourse.models.network import Network, Scores
from midcourse.models.normalise import normalised

BUILT_IN = Path(__file__).parent / "artifacts" / "cue"
STREAMS = 256
"""Memories kept at most, of streams and of prompts. Without its memory a step costs a few times as much."""
STREAM_TOKENS, PROMPT_TOKENS = 48_000, 16_000
"""Tokens in them at most: 25 KB for each that all 16 layers have read, so 1.2 GB and 0.4 GB; a third of that where the
upper layers were not asked. Nobody tells a judge that a stream has ended: the oldest make room."""
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

    past: Past
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
        self._depths = Depths(*(_network(folder, self.card, part, threads) for part in ("lower", "upper")))
        try:
            self._combine = Combine(**self.card.combine)
        except TypeError as error:
            raise ArtifactError(f"{folder / FILE}: combine: {error}; export the judge again") from error
        self._clean = lru_cache(maxsize=64)(normalised if normalise else str)
        self._streams = Recent[Read](streams, STREAM_TOKENS, lambda read: read.past.tokens)
        self._prompts = Recent[Read](streams, PROMPT_TOKENS, lambda read: read.past.tokens)
        self._lock = threading.Lock()
        # The first tokens of a causal model carry outliers; every stream begins with these, so they are read once.
        ((_, self._opened),) = self._depths.read([(self._depths.nothing(), self._layout.opens())])

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
        clean = [self._clean(prompt) for prompt in missing]
        answers = self._depths.read([(self._opened, self._layout.prompt(prompt)) for prompt in clean])
        for prompt, text, (scores, past) in zip(missing, clean, answers, strict=True):
            self._prompts.put(prompt, Read(past, self._combine.risk(scores, text)))

    def _of_prompt(self, query: Query) -> Verdict:
        return Verdict(1.0, 0.0, 0.0, 0.0, prompt_risk=sigmoid(self._prompt(query.prompt).risk))

    def _judge_wave(self, wave: Sequence[tuple[int, Query]]) -> dict[int, Verdict]:
        """Skim all the steps; where the guess is not plainly innocent, read on and judge by what all layers say."""
        begun = [self._begin(query) for _, query in wave]
        skimmed = self._depths.skim([(read.past, [i for step in steps for i in step]) for read, steps in begun])
        judged = [
            self._combine.judged(scores, steps, replace(read, past=past))
            for (read, steps), (scores, past) in zip(begun, skimmed, strict=True)
        ]
        doubtful = [n for n, (verdict, _) in enumerate(judged) if verdict.unsafe >= self._combine.sure]
        deep = self._depths.deepen([judged[n][1].past for n in doubtful])
        for n, (scores, past) in zip(doubtful, deep, strict=True):
            read, steps = begun[n]
            judged[n] = self._combine.judged(scores, steps, replace(read, past=past))
        for (_, query), (_, read) in zip(wave, judged, strict=True):
            self._streams.put(place(query.prompt, query.context + query.step), read)
        return {n: verdict for (n, _), (verdict, _) in zip(wave, judged, strict=True)}

    def _begin(self, query: Query) -> tuple[Read, list[list[int]]]:
        """What is known before the step, and the token ids still to be read: steps of the context, then the step."""
        step = self._layout.step(self._clean(query.step))
        known = self._streams.pop(place(query.prompt, query.context))
        if known is not None and known.past.tokens + len(step) <= self._layout.limits.window:
            return known, [step]
        prompt = self._prompt(query.prompt)
        if not query.context:
            return prompt, [step]
        room = min(ANEW, self._layout.limits.window - prompt.past.tokens - len(step))
        return prompt, [*self._layout.tail([self._clean(s.strip()) for s in split(query.context)], room), step]

    def _prompt(self, prompt: str) -> Read:
        found = self._prompts.get(prompt)
        if found is None:  # more prompts in one call than are kept
            self._read_prompts([prompt])
            found = self._prompts.get(prompt)
        assert found is not None
        return found


def _network(folder: Path, card: Card, part: str, threads: int) -> Network:
    shape = dict(card.shape)
    layers = {each: shape.pop(each) for each in ("lower", "upper")}[part]
    return Network(read_file(folder, card, f"{part}.onnx.gz"), layers=layers, **shape, threads=threads)


@dataclass(frozen=True, slots=True)
class Combine:
    """Step, prompt and what came before, on the logit scale: one score.

    ``unsafe = sigmoid(step * u + prompt * min(r, prompt_most) + before * e + bias)`` with u the step's logit of cue or
    harmful against the rest, r the logit of the prompt's risk, and e the evidence: e' = keep * e + u, so that a second
    step in the same direction weighs more (two-step hysteresis is keep = 0 with a threshold on the sum). The prompt's
    part is bounded, so that a request, however bad, does not by itself flag a step that only restates it. The risk
    holds what the word lists say of the prompt (``words``), which err on other requests than the network does.
    Where the lower layers find a step less unsafe than ``sure``, their word stands.
    """

    step: float
    prompt: float
    before: float
    bias: float
    keep: float
    prompt_most: float = 100.0
    risk_scale: float = 1.0
    risk_bias: float = 0.0
    words: float = 0.0
    sure: float = 0.0

    def risk(self, scores: Scores, prompt: str) -> float:
        """The logit of the prompt's risk, of the scores of its tokens, (tokens, outputs), and of its words."""
        raw = float(scores[-1, RISK] + scores[:, RISK_MEAN].mean())
        return self.risk_scale * raw + self.risk_bias + self.words * prompt_logit(prompt)

    def score(self, along: float, risk: float, evidence: float) -> float:
        """The sum, a logit."""
        return self.step * along + self.prompt * min(risk, self.prompt_most) + self.before * evidence + self.bias

    def judged(self, scores: Scores, steps: Sequence[Sequence[int]], read: Read) -> tuple[Verdict, Read]:
        """The verdict of the last of some steps, and what is known after it; ``scores`` end with theirs."""
        at, evidence, verdict = len(scores) - sum(map(len, steps)), read.evidence, None
        for step in steps:
            verdict, evidence = self.verdict(scores[at : at + len(step)], read.risk, evidence)
            at += len(step)
        assert verdict is not None
        return verdict, replace(read, evidence=evidence)

    def verdict(self, scores: Scores, risk: float, evidence: float) -> tuple[Verdict, float]:
        """The verdict of a step from the scores of its tokens, and the evidence after it."""
        logits = (scores[-1, STEP] + scores[:, STEP_MEAN].mean(axis=0)).astype(float)
        along = np.logaddexp(logits[CUE], logits[HARMFUL]) - np.logaddexp(logits[NEUTRAL], logits[SAFETY])
        unsafe = sigmoid(self.score(float(along), risk, evidence))
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
    """The most recently used values: so many, that together weigh no more than ``room``; the last one always."""

    def __init__(self, most: int, room: int, weight: Callable[[T], int]) -> None:
        self._most = most
        self._room = room
        self._weight = weight
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._full = 0

    def get(self, key: str) -> T | None:
        """The value, which stays."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def pop(self, key: str) -> T | None:
        """The value, which goes."""
        found = self._kept.pop(key, None)
        if found is not None:
            self._full -= self._weight(found)
        return found

    def put(self, key: str, value: T) -> None:
        """Keep a value; those that were not used for longest may go."""
        self.pop(key)
        self._kept[key] = value
        self._full += self._weight(value)
        while len(self._kept) > self._most or (self._full > self._room and len(self._kept) > 1):
            self.pop(next(iter(self._kept)))


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
