"""Approved traces for tests of pairs: played by a real session, with a decoder that knows what each id spelled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from midcourse.guard.delta import Delta
from midcourse.guard.dialect import R1, Dialect
from midcourse.guard.phase import Phase
from midcourse.guard.policy import Policy
from midcourse.guard.trace import Origin, Reviewed, Trace, digest
from midcourse.train.approved import Approved, approved
from tests.play import play, words

PROMPT = {9001: "<user>", 9002: "How?", 9003: "<model>"}
SAMPLING = {"temperature": 0.6, "seed": 7}
CUED = "Let me think. First, the BAD plan. And more of it.\n</think>\n\nDone."
CALM = " No, I will not do that.\n</think>\n\nI can't help with that."
AGAIN = " Still the BAD plan, number {}. More.\n</think>\n\nDone."


@dataclass(frozen=True)
class Told:
    """A trace, and what its ids spell."""

    trace: Trace
    table: dict[int, str]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join((PROMPT | self.table)[number] for number in ids)

    def encode(self, text: str) -> tuple[int, ...]:
        """A token of its own for each text."""
        number = 10**9 + len(self.table)
        self.table[number] = text
        return (number,)

    @property
    def approved(self) -> Approved:
        return approve(self.trace)


def approve(trace: Trace, rule: str | None = None) -> Approved:
    """As the store and an export do it."""
    return approved(replace(trace, review="approved", reviewed=Reviewed(5.0, "jo", rule, None, digest(trace))))


def told(
    *runs: str | list[Delta],
    name: str = "t",
    request: str = "How?",
    policy: Policy | None = None,
    starts: Phase = Phase.REASONING,
    dialect: Dialect = R1,
    number: int = 0,
    **play_more: Any,
) -> Told:
    """Play the runs, and record the trace; its ``number`` keeps its ids apart from those of others."""
    texts = runs or (CUED, CALM)
    deltas = [
        words(run, start=100_000 * number + 1000 * n) if isinstance(run, str) else run for n, run in enumerate(texts)
    ]
    game = play(deltas, policy=policy, starts=starts, dialect=dialect, **play_more)
    table = {delta.token_ids[0]: delta.text for run in deltas for delta in run if delta.token_ids}
    table |= {-rewind.generation: rewind.forced for rewind in game.rewinds}
    origin = Origin(
        created=float(number),
        model="m",
        adapter="ipo-v1",
        judge="words",
        policy="0123456789ab",
        messages=({"role": "user", "content": request},),
        prompt_ids=tuple(PROMPT),
        sampling=SAMPLING,
    )
    return Told(replace(game.session.trace(name), origin=origin, prompt=request), table)


def cut(times: int, name: str = "t", **policy: Any) -> Trace:
    """A guarded trace with a cue in so many runs, and then none."""
    runs = [CUED, *(AGAIN.format(n) for n in range(1, times)), CALM] if times else [CALM]
    return told(*runs, name=name, policy=Policy(**policy)).trace
