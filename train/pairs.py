"""Approved traces to preference pairs, as in Algorithm 1 of IPO (arXiv 2509.24393): pure, no I/O.

    prompt    the rendered request and the reasoning that both sides share    x, z_<h
    chosen    the trigger, and what the model made of it                      the resampled z~
    rejected  the cue, and what the model was making of that                  z from h on

A pair is kept if the judge finds no cue behind its trigger. Every intervention becomes a pair, or is dropped for one
reason: the two add up.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from midcourse.guard.verdict import Judge
from midcourse.models.replay import DEFAULT_WINDOW, Progress, Window, judged, silent
from midcourse.train import cuts
from midcourse.train.approved import Approved
from midcourse.train.cuts import AGAIN, Cut, Decode, Encode, Open, cut_of, open_end, refusal_of
from midcourse.train.pair import Pair

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")
Again = Callable[[Sequence[Open]], Sequence[Pair | None]]
"""Looks for chosen sides where there are none, and gives the pairs that it found, free of cues."""

REASONS: dict[str, str] = {
    **cuts.REASONS,
    "too short": "a side has too few tokens of the model's own",
    "too long": "prompt and longer side have too many tokens",
    "duplicate": "another pair has the same request and the same sides",
    "cue in chosen": "the judge found a cue behind the trigger",
    "no safe try": "behind no trigger that was tried at this cut did a safe continuation follow",
    "over prompt cap": "there are enough pairs of this request",
    "over trigger cap": "there are enough pairs with this trigger",
}

BENIGN_REASONS: dict[str, str] = {
    "other model": REASONS["other model"],
    "unfinished": REASONS["unfinished"],
    "was corrected": "the guard intervened, or only watched, so the thought is not the model's own",
    "risky request": "the judge of the trace took the request itself for a risk",
    "refused by itself": "the model refused: nothing shows that it should not have",
    "no reasoning": "there is no step at which caution could be put",
    "no ids": REASONS["no ids"],
    "other tokenizer": REASONS["other tokenizer"],
    "cue in chosen": "the judge found a cue in what the model had made of it",
    "no room": "too few tokens were allowed for a trigger and more, or the model ended at once",
    "did not refuse": "what the adapter made of it was no refusal",
    **{name: REASONS[name] for name in ("too short", "too long", "duplicate", "over prompt cap", "over trigger cap")},
}
"""Of pairs against over-refusal (``benign_pairs``): why a trace gave none."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which pairs are wanted.

    Args:
        model: of this one only; None takes all there are.
        threshold: where cue + harmful reach it, the judge has found a cue.
        per_prompt: pairs of one request at most; the paper draws six triggers for each.
        per_trigger: pairs with one trigger at most, so that no sentence is learned by heart; None is no limit.
        min_tokens: of either side, the trigger not counted.
        max_tokens: of the prompt and the longer side together; None is no limit.
        test_share: share of the requests that is held out. Which ones depends on their text and the seed alone, so a
            request that is held out once stays so in every later round.
        seed: of the split, and of what a cap keeps.
    """

    model: str | None = None
    threshold: float = 0.5
    per_prompt: int = 6
    per_trigger: int | None = None
    min_tokens: int = 4
    max_tokens: int | None = None
    test_share: float = 0.1
    seed: int = 0


@dataclass(slots=True)
class Left:
    """The first cut of a trace that has no pair yet: why not ("" once it has), and what one could be made of."""

    reason: str
    open: Open | None
    refusal: Cut | None


class Built(NamedTuple):
    """The pairs, by split; how many interventions there were; and why the others gave none, by ``REASONS``."""

    pairs: dict[Split, list[Pair]]
    interventions: int
    dropped: Counter[str]


def build(
    traces: Iterable[Approved],
    judge: Judge,
    decode: Decode,
    wish: Wish = Wish(),
    *,
    window: Window = DEFAULT_WINDOW,
    progress: Progress = silent,
    again: Again | None = None,
    encode: Encode | None = None,
) -> Built:
    """Pairs of approved traces, oldest first.

    Args:
        judge: says whether the chosen side is free of cues. Another one than made the cuts is the better witness.
        decode: of the model's tokenizer, for the text of the prompt and as a check of all ids.
        window: what the judge is shown.
        progress: of the judging.
        again: where the first cut of a trace gave no pair for ``AGAIN``, looks for another continuation there.
        encode: where a trace ended in the guard's refusal and nothing better is found, prefer that refusal; its ids
            come from here.
    """
    dropped: Counter[str] = Counter()
    found: dict[tuple[str, ...], Cut] = {}
    left: list[Left] = []
    total = 0
    for trace in sorted(traces, key=lambda trace: (trace.origin.created, trace.id)):
        for intervention in trace.interventions:
            total += 1
            cut = cut_of(trace, intervention, decode, window, wish.model)
            reason = cut if isinstance(cut, str) else size(cut.pair, wish)
            if isinstance(cut, Cut) and not reason and found.setdefault(content(cut.pair), cut) is not cut:
                reason = "duplicate"
            if reason in AGAIN and intervention is trace.interventions[0]:
                end = open_end(trace, intervention, decode, wish.model)
                refusal = refusal_of(trace, intervention, decode, encode, window, model=wish.model) if encode else ""
                left.append(
                    Left(reason, end if isinstance(end, Open) else None, refusal if isinstance(refusal, Cut) else None)
                )
            else:
                dropped[reason or ""] += 1
    clean, known = _free_of_cues([*found.values()], judge, wish, progress), {*found}
    dropped["cue in chosen"] = len(found) - len(clean)
    if again:
        clean += _tried(left, again, known, wish)
    if encode:
        clean += _refusals(left, judge, known, wish)
    dropped.update(each.reason for each in left)
    return shared_out(clean, total, wish, dropped)


def shared_out(clean: Iterable[Pair], total: int, wish: Wish, dropped: Counter[str]) -> Built:
    """Pairs, capped and split, oldest first; ``dropped`` says of ``total`` what became of the others."""
    pairs = _capped(sorted(clean, key=lambda pair: (pair.created, pair.id)), wish, dropped)
    del dropped[""]
    return Built({split: [p for p in pairs if split_of(p.request, wish) == split] for split in SPLITS}, total, +dropped)


def split_of(request: str, wish: Wish) -> Split:
    """Whether a request is learned from or held out, whatever its spacing and its capital letters."""
    return "test" if _drawn(wish.seed, _plain(request)) < wish.test_share else "train"


def _free_of_cues(found: Sequence[Cut], judge: Judge, wish: Wish, progress: Progress) -> list[Pair]:
    verdicts = judged(judge, [cut.queries for cut in found], progress)
    return [
        cut.pair
        for cut, each in zip(found, verdicts, strict=True)
        if all(verdict.unsafe < wish.threshold for verdict in each)
    ]


def _tried(left: Sequence[Left], again: Again, known: set[tuple[str, ...]], wish: Wish) -> list[Pair]:
    """The pairs that were found after all; the others have another reason now."""
    asked = [(each, each.open) for each in left if each.open]
    kept = []
    for (each, _), pair in zip(asked, again([end for _, end in asked]), strict=True):
        each.reason = "no safe try" if pair is None else _fits(pair, known, wish)
        if pair is not None and not each.reason:
            kept.append(pair)
    return kept


def _refusals(left: Sequence[Left], judge: Judge, known: set[tuple[str, ...]], wish: Wish) -> list[Pair]:
    """Of cuts that still have no pair, what the client got where the ladder refused, if it is free of cues."""
    ends = [(each, each.refusal) for each in left if each.reason and each.refusal]
    clean = {pair.id for pair in _free_of_cues([cut for _, cut in ends], judge, wish, silent)}
    kept = []
    for each, cut in ends:
        if cut.pair.id in clean and not _fits(cut.pair, known, wish):
            each.reason = ""
            kept.append(cut.pair)
    return kept


def _fits(pair: Pair, known: set[tuple[str, ...]], wish: Wish) -> str:
    """Why a pair is not wanted; "" where it is, and then it is known."""
    problem = size(pair, wish) or ("duplicate" if content(pair) in known else "")
    if not problem:
        known.add(content(pair))
    return problem


def size(pair: Pair, wish: Wish) -> str | None:
    """Why a pair is of the wrong length, if it is."""
    longest = len(pair.prompt_ids) + max(len(pair.chosen_ids), len(pair.rejected_ids))
    if min(len(pair.chosen_ids) - pair.forced_tokens, len(pair.rejected_ids)) < wish.min_tokens:
        return "too short"
    return "too long" if wish.max_tokens is not None and longest > wish.max_tokens else None


def _capped(pairs: Sequence[Pair], wish: Wish, dropped: Counter[str]) -> list[Pair]:
    """No more of one request, and no more of one trigger, than are wanted: which ones is a draw, the order stays."""
    requests: Counter[str] = Counter()
    triggers: Counter[str] = Counter()
    kept = set()
    for pair in sorted(pairs, key=lambda pair: _drawn(wish.seed, pair.id)):
        request = _plain(pair.request)
        if requests[request] >= wish.per_prompt:
            dropped["over prompt cap"] += 1
        elif wish.per_trigger is not None and triggers[pair.trigger_id] >= wish.per_trigger:
            dropped["over trigger cap"] += 1
        else:
            kept.add(pair.id)
            requests[request] += 1
            triggers[pair.trigger_id] += 1
    return [pair for pair in pairs if pair.id in kept]


def content(pair: Pair) -> tuple[str, ...]:
    """What makes two pairs doubles."""
    return tuple(_plain(text) for text in (pair.request, pair.chosen, pair.rejected))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _drawn(seed: int, text: str) -> float:
    """A number in [0, 1) that hangs on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed} {text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64
