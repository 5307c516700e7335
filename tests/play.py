"""Plays a session by hand: a scripted model in front, a scripted judge behind, no event loop."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from midcourse.guard.action import Actions, End, Intervened, Judge, Release, Rewind
from midcourse.guard.delta import Delta, Piece
from midcourse.guard.dialect import R1, Dialect
from midcourse.guard.phase import Phase
from midcourse.guard.policy import Policy
from midcourse.guard.session import Session
from midcourse.guard.trace import Intervention, JudgeFailure
from midcourse.guard.verdict import Query, Verdict

SAFE = Verdict(neutral=1.0, cue=0.0, harmful=0.0, safety=0.0)
CUE = Verdict(neutral=0.1, cue=0.8, harmful=0.1, safety=0.0)
HARMFUL = Verdict(neutral=0.0, cue=0.1, harmful=0.9, safety=0.0)

Judging = Callable[[Query], Verdict | JudgeFailure]
"""A verdict, or the kind of failure."""


def by_word(query: Query) -> Verdict | JudgeFailure:
    """BAD is a cue, VILE is harmful, LOST and LATE are failures of the judge."""
    words: dict[str, Verdict | JudgeFailure] = {"BAD": CUE, "VILE": HARMFUL, "LOST": "error", "LATE": "deadline"}
    for word, verdict in words.items():
        if word in query.step:
            return verdict
    return SAFE


@dataclass
class Played:
    session: Session
    pieces: list[Piece] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)
    records: list[Intervention] = field(default_factory=list)
    rewinds: list[Rewind] = field(default_factory=list)
    end: str | None = None
    generated: int = 0
    """Sampled tokens that were fed."""

    def text(self, *channels: str) -> str:
        return "".join(p.text for p in self.pieces if not channels or p.channel in channels)

    def merged(self) -> list[tuple[str, bool, str]]:
        """Channel, author and text of what left, whatever the cuts."""
        runs: list[tuple[str, bool, str]] = []
        for piece in self.pieces:
            if runs and runs[-1][:2] == (piece.channel, piece.forced):
                runs[-1] = (*runs[-1][:2], runs[-1][2] + piece.text)
            else:
                runs.append((piece.channel, piece.forced, piece.text))
        return runs


def tokens(*texts: str, start: int = 0) -> list[Delta]:
    """One token a text, with ids that count up; the last one stops."""
    deltas = [Delta(text, (start + at,)) for at, text in enumerate(texts)]
    return [*deltas, Delta("", (), finish_reason="stop")]


def words(text: str, start: int = 0) -> list[Delta]:
    """A token a word, with the white space in front of it, as byte-pair tokens have it."""
    parts: list[str] = []
    for char in text:
        if not parts or (char.isspace() and not parts[-1].isspace()):
            parts.append(char)
        else:
            parts[-1] += char
    return tokens(*parts, start=start)


def play(
    runs: Sequence[Sequence[Delta]],
    *,
    policy: Policy | None = None,
    dialect: Dialect = R1,
    starts: Phase = Phase.REASONING,
    judging: Judging = by_word,
    delays: Sequence[int] = (),
    late: int = 0,
) -> Played:
    """Feed the first run; after rewind g feed run g (the last one again, if there are not enough).

    Args:
        delays: the n-th verdict is given that many deltas after it was asked for; 0 beyond the end of the list.
        late: that many deltas of an aborted run still arrive.
    """
    game = Played(Session(policy or Policy(), dialect, prompt="the prompt", starts=starts))
    table = _Table(game, runs, judging, delays, late)
    while (table.queue or table.answers) and game.end is None:
        table.turn()
    return game


class _Table:
    """What lies on the table while a game is played: deltas to come, and questions that are out."""

    def __init__(
        self, game: Played, runs: Sequence[Sequence[Delta]], judging: Judging, delays: Sequence[int], late: int
    ) -> None:
        self.game, self.runs, self.judging, self.delays, self.late = game, runs, judging, delays, late
        self.queue = deque(runs[0])
        self.answers: list[tuple[int, Query]] = []

    def turn(self) -> None:
        """One delta, then the verdicts that are due."""
        if self.queue:
            delta = self.queue.popleft()
            self.game.generated += 0 if delta.forced else len(delta.token_ids)
            self.act(self.game.session.receive(delta))
        self.answers = [(left - 1, query) for left, query in self.answers]
        for due in [pair for pair in self.answers if pair[0] < 0]:
            self.answers.remove(due)
            verdict = self.judging(due[1])
            if isinstance(verdict, Verdict):
                self.act(self.game.session.judged(due[1].index, verdict))
            else:
                self.act(self.game.session.judge_failed(due[1].index, verdict))

    def act(self, actions: Actions) -> None:
        for action in actions:
            assert self.game.end is None, "an action after the end"
            match action:
                case Release(piece):
                    self.game.pieces.append(piece)
                case Intervened(record):
                    self.game.records.append(record)
                case Judge(query):
                    number = len(self.game.queries)
                    self.game.queries.append(query)
                    self.answers.append((self.delays[number] if number < len(self.delays) else 0, query))
                case Rewind():
                    self.game.rewinds.append(action)
                    self.resume(action)
                case End(finish_reason):
                    self.game.end = finish_reason

    def resume(self, rewind: Rewind) -> None:
        rest = [self.queue.popleft() for _ in range(min(self.late, len(self.queue)))]
        forced = Delta(rewind.forced, (-rewind.generation,), rewind.generation, forced=True)
        run = self.runs[min(rewind.generation, len(self.runs) - 1)]
        self.queue = deque([*rest, forced, *(replace(d, generation=rewind.generation) for d in run)])
