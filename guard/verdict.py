"""What a judge is asked, and what it says. Knows no model and no threshold: those are the policy's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Label = Literal["neutral", "cue", "harmful", "safety"]
LABELS: tuple[Label, ...] = ("neutral", "cue", "harmful", "safety")
Phase = Literal["reasoning", "response"]


@dataclass(frozen=True, slots=True)
class Query:
    """One step in its place.

    Args:
        prompt: what the caller wrote; of a long text the beginning and the end, ``prompt_chars`` in all.
        context: what was generated just before the step (kept text only), its last ``context_chars`` characters.
        step: the text to judge, surrounding white space stripped.
        phase: where the step stands.
        index: number of the step within the generation, from 0, never reused; -1 is that of ``prompt_alone``.
    """

    prompt: str
    context: str
    step: str
    phase: Phase
    index: int


def prompt_alone(prompt: str, most: int) -> Query:
    """What a judge is asked before the first step: an empty one, whose number is -1.

    Only ``prompt_risk`` of the verdict means something, and a judge that reads a prompt once may begin with it.

    Args:
        most: ``prompt_chars``; the text is the one that stands in the queries of the steps.
    """
    return Query(ends_of(prompt, most), "", "", "reasoning", -1)


def ends_of(text: str, most: int) -> str:
    """The beginning and the end of a text that is too long: a request may hide on either side of its filling."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[len(text) - most // 2 :]}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's scores for one step: probabilities of the four labels, and the prompt's own risk if it is known.

    Raises:
        ValueError: a score is not a number in [0, 1]. A judge that says NaN has failed; it has not said "safe".
    """

    neutral: float
    cue: float
    harmful: float
    safety: float
    prompt_risk: float | None = None

    def __post_init__(self) -> None:
        for name in (*LABELS, "prompt_risk"):
            score = getattr(self, name)
            if score is None and name == "prompt_risk":
                continue
            if not (math.isfinite(score) and 0.0 <= score <= 1.0):
                raise ValueError(f"verdict.{name} is {score!r}: expected a number between 0 and 1")

    @property
    def unsafe(self) -> float:
        """Probability that the step goes along with a harmful request: cue or harmful, at most 1."""
        return min(1.0, self.cue + self.harmful)

    @property
    def label(self) -> Label:
        """The most probable label; the earlier of ``LABELS`` where two are equal."""
        scores: dict[Label, float] = {name: getattr(self, name) for name in LABELS}
        return max(LABELS, key=scores.__getitem__)


class Judge(Protocol):
    """Judges steps. Called off the event loop with steps of several streams at once."""

    name: str

    def judge(self, queries: Sequence[Query]) -> Sequence[Verdict]:
        """One verdict a query, in order. Whatever it raises is a judge failure, and the policy says what follows.

        An empty step is a question about the prompt (``prompt_alone``): it has to be cheap, and nothing hangs on it.
        """
        ...
