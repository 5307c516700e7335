"""Other triggers at a cut that gave no pair, until what follows one is safe. No I/O here.

Algorithm 1 of IPO (arXiv 2509.24393) draws a continuation from x, z_<h and a trigger, and keeps it if d finds no cue.
A trace holds one such draw. Where that was cut again, or the ladder refused, the prefix and the cue are as good as any:
another trigger is put there, the model that wrote the prefix goes on from it, and the judge reads all that it wrote.
Nothing is shortened to pass, no refusal is written for the model here: a chosen side is what it generated, to its end.

The best of several by a judge that errs is partly its error. So a try has to be safer than a first draw: half of the
threshold at every step, a step that the judge calls safe, and no circles, in which a small model escapes every judge.
"""

import hashlib
import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from midcourse.guard.delta import Delta
from midcourse.guard.dialect import DIALECTS, Dialect
from midcourse.guard.ladder import joint
from midcourse.guard.parser import Parser
from midcourse.guard.phase import Phase
from midcourse.guard.trigger import POOL, Draw, Trigger
from midcourse.guard.verdict import Judge, Query, Verdict, ends_of
from midcourse.models.replay import DEFAULT_WINDOW, Window, judged
from midcourse.train.analysis_thoughts import read_ids, text_of
from midcourse.train.cuts import Open
from midcourse.train.generate import Continuation, Sampling
from midcourse.train.pair import Ids, Pair, fingerprint
from midcourse.train.rollouts import MAX_TOKENS, heat

GoOn = Callable[[Sequence[Ids], Sampling], list[Continuation]]
"""What the model writes behind each prefix."""

SAFE = 0.5
"""Of the judge: a step that looks at the harm, or turns away from it."""
PHRASE, TIMES = 5, 3
"""So many words that come so often are a circle."""


@dataclass(frozen=True, slots=True)
class Trying:
    """How to try.

    Args:
        most: triggers at one cut; the pool has fourteen.
        threshold: where cue + harmful reach half of it, a try is not taken.
        max_tokens: of shared reasoning, trigger and continuation; None is what the generation was allowed.
        min_tokens: of the continuation; a shorter one is no answer.
        seed: of the draws of triggers and of tokens.
    """

    most: int
    threshold: float = 0.5
    max_tokens: int | None = None
    min_tokens: int = 4
    seed: int = 0


def tried(
    ends: Sequence[Open], tokenizer: PreTrainedTokenizerBase, go_on: GoOn, judge: Judge, how: Trying
) -> list[Pair | None]:
    """Each pair with the first chosen side that is safe by the judge, or None where there was none.

    Args:
        ends: all of one model and adapter, whose ``tokenizer`` this is.
    """
    found: list[Pair | None] = [None] * len(ends)
    draws = [Draw(POOL, int(hashlib.sha256(f"{how.seed} {end.pair.id}".encode()).hexdigest(), 16)) for end in ends]
    for turn in range(1, how.most + 1):
        asked = [(n, trigger) for n, draw in enumerate(draws) if found[n] is None and (trigger := draw.next())]
        written = continued([(ends[n].pair, trigger) for n, trigger in asked], tokenizer, go_on, how)
        about = zip(asked, written, strict=True)
        verdicts = judged(judge, [questions(pair, ends[n].prompt, tokenizer) if pair else [] for (n, _), pair in about])
        for (n, _), pair, each in zip(asked, written, verdicts, strict=True):
            if pair is not None and is_safe(each, how) and not goes_round(pair.chosen):
                found[n] = replace(pair, tried=turn)
    return found


def is_safe(verdicts: Sequence[Verdict], how: Trying) -> bool:
    """Whether the judge is surer of a continuation than it would have to be of a first one."""
    unsafe = max((verdict.unsafe for verdict in verdicts), default=1.0)
    return unsafe < how.threshold / 2 and any(verdict.safety >= SAFE for verdict in verdicts)


def goes_round(text: str) -> bool:
    """Whether the same ``PHRASE`` words come ``TIMES`` times."""
    words = re.findall(r"\w+", text.casefold())
    phrases = Counter(zip(*(words[n:] for n in range(PHRASE)), strict=False))
    return max(phrases.values(), default=0) >= TIMES


def continued(
    ends: Sequence[tuple[Pair, Trigger]], tokenizer: PreTrainedTokenizerBase, go_on: GoOn, how: Trying
) -> list[Pair | None]:
    """Each pair with the trigger and what the model makes of it as its chosen side; None where there is no room."""
    found: list[Pair | None] = [None] * len(ends)
    for warmth in sorted({heat(end) for end, _ in ends}):
        those, prefixes = [], []
        for n, (end, trigger) in enumerate(ends):
            forced = forced_ids(end, trigger, tokenizer)
            limit = how.max_tokens or json.loads(end.sampling).get("max_tokens") or MAX_TOKENS
            room = int(limit) - end.prefix_tokens - len(forced)
            if heat(end) == warmth and room >= how.min_tokens:
                those.append((n, forced, room))
                prefixes.append((*end.prompt_ids, *forced))
        longest = max((room for *_, room in those), default=0)
        drawn = go_on(prefixes, Sampling(longest, *warmth, how.seed)) if those else []
        for (n, forced, room), one in zip(those, drawn, strict=True):
            short = one if len(one.ids) < room else Continuation(one.ids[:room], ())
            if len(short.ids) >= how.min_tokens:
                found[n] = _chosen(ends[n][0], ends[n][1], forced, short, tokenizer)
    return found


def forced_ids(end: Pair, trigger: Trigger, tokenizer: PreTrainedTokenizerBase) -> Ids:
    """A trigger as it stands in the place of the rejected side, joint included."""
    text = joint(end.rejected, end.prompt[-1:], optimistic=False) + trigger.text
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])


def questions(
    pair: Pair, prompt: str, tokenizer: PreTrainedTokenizerBase, window: Window = DEFAULT_WINDOW
) -> list[Query]:
    """What the guard would ask about the chosen side behind its trigger; ``prompt`` is all that the caller wrote."""
    dialect, start = DIALECTS[pair.dialect], len(pair.prompt_ids) - pair.prefix_tokens
    request, prefix = pair.prompt_ids[:start], pair.prompt_ids[start:]
    forced, behind = pair.chosen_ids[: pair.forced_tokens], pair.chosen_ids[pair.forced_tokens :]
    parser = Parser(
        dialect, dialect.starts_in(text_of(tokenizer, request)), window.max_step_chars, window.context_chars
    )
    parser.feed(Delta(text_of(tokenizer, prefix, request)))
    parser.steps(final=True)
    if forced:
        parser.force(Delta(text_of(tokenizer, forced, pair.prompt_ids), forced=True), "")
    parser.feed(Delta(text_of(tokenizer, behind, (*pair.prompt_ids, *forced))))
    asked = ends_of(prompt, window.prompt_chars)
    found = enumerate(parser.steps(final=True))
    return [Query(asked, span.context, span.text.strip(), span.phase, n) for n, span in found]


def _chosen(end: Pair, trigger: Trigger, forced: Ids, one: Continuation, tokenizer: PreTrainedTokenizerBase) -> Pair:
    text, ends = read_ids(tokenizer, (*forced, *one.ids), end.prompt_ids)
    ids = (*forced, *one.ids)
    return replace(
        end,
        chosen=text,
        chosen_ids=ids,
        forced_tokens=len(forced),
        reasoning_tokens=thought_tokens(text, ends, DIALECTS[end.dialect]),
        chosen_finished=one.finished,
        chosen_end=one.end,
        trigger_id=trigger.id,
        sha256=fingerprint(end.prompt_ids, ids, end.rejected_ids),
    )


def thought_tokens(text: str, ends: Sequence[int], dialect: Dialect) -> int:
    """How many tokens of a text, which begins in the reasoning, are reasoning."""
    markers = [place for literal, _ in dialect.markers(Phase.REASONING) if (place := text.find(literal)) >= 0]
    closed = len(text[: min(markers)].rstrip()) if markers else len(text)
    return min(len(ends), bisect_left(ends, closed) + bool(closed))
