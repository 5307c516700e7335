"""From one intervention to a pair, or to the reason why there is none. Knows the record; no I/O here.

Token ids are those of the record; nothing is tokenised. Only the last intervention of a trace can give a pair: what
followed the others was cut again, so it held a cue, and Algorithm 1 of IPO (arXiv 2509.24393) keeps a continuation
only where it holds none.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from midcourse.guard.step import split
from midcourse.guard.trace import Intervention
from midcourse.guard.verdict import Phase, Query, ends_of
from midcourse.models.ended import bare, of_cue
from midcourse.models.replay import Window
from midcourse.train.approved import Approved
from midcourse.train.pair import Ids, Pair, fingerprint

Decode = Callable[[Sequence[int]], str]
"""Token ids to text, special tokens shown."""
Encode = Callable[[str], Ids]
"""Text to token ids, nothing added; what spells a special token is one."""

REASONS: dict[str, str] = {
    "other model": "the trace is of another model than the one asked for",
    "shadow": "the guard only would have intervened",
    "refused": "the ladder refused or ended; no trigger was put in its place",
    "cut again": "what followed the trigger was cut again",
    "unfinished": "the client left, or the engine failed",
    "no cue": "a loop was cut, or a step that nobody could judge, not a cue",
    "in response": "the cut lies in the response, where a trigger is no thought",
    "was sent": "the cue had been sent before it was judged (optimistic mode)",
    "no ids": "the engine gave text without token ids",
    "inconsistent": "the ids do not add up to the cut and its trigger",
    "other tokenizer": "by this tokenizer, the ids are another text (or a stop string cut it)",
}

AGAIN = ("refused", "cut again")
"""Reasons that leave a cue without anything better behind its prefix: ``tries`` looks for that."""


class Cut(NamedTuple):
    """A pair whose chosen side is not judged yet, and the questions about it."""

    pair: Pair
    queries: list[Query]


class Open(NamedTuple):
    """A pair whose chosen side is still to be found, and all that the caller wrote, for the judge."""

    pair: Pair
    prompt: str


class _Line(NamedTuple):
    """All that was sent, and for each id whether it was forced, and whether it is reasoning."""

    text: str
    ids: Ids
    forced: list[bool]
    reasoning: list[bool]


def cut_of(trace: Approved, cut: Intervention, decode: Decode, window: Window, model: str | None = None) -> Cut | str:
    """The pair of an intervention, or a key of ``REASONS``.

    Args:
        decode: of the model's tokenizer, for the text of the prompt and as a check of all ids.
        window: what the judge is shown.
        model: the only one that is wanted.
    """
    reason = _unfit(trace, cut, model)
    if reason:
        return reason
    line = _line(trace)
    behind = line.forced[cut.kept_tokens :]
    forced = next((n for n, mark in enumerate(behind) if not mark), len(behind))
    if not forced or any(behind[forced:]) or not line.text.startswith(cut.trigger, cut.kept_chars):
        return "inconsistent"
    pair = _pair(trace, cut, line, forced, decode(trace.origin.prompt_ids))
    return _checked(trace, cut, pair, decode, window)


def refusal_of(
    trace: Approved, cut: Intervention, decode: Decode, encode: Encode, window: Window, *, model: str | None = None
) -> Cut | str:
    """The pair of an intervention and of the refusal in which the ladder ended, or a key of ``REASONS``.

    Args:
        encode: of the model's tokenizer: what the guard wrote when it refused has no ids, because no model read it.
    """
    reason = _unfit(trace, cut, model, besides=AGAIN if trace.outcome == "refused" else ())
    if reason:
        return reason
    if not of_cue(trace, trace.interventions[-1]):
        return "no cue"  # the ladder refused because the judge was down, or the model went round
    read = max((n + 1 for n, piece in enumerate(trace.pieces) if piece.token_ids), default=0)
    written = encode("".join(piece.text for piece in trace.pieces[read:]))
    pair = _pair(trace, cut, _line(trace), 0, decode(trace.origin.prompt_ids))
    # It is over, also where the client is told content_filter.
    pair = replace(pair, chosen_ids=(*pair.chosen_ids, *written), chosen_finished=True, refused=True)
    return _checked(trace, cut, pair, decode, window)


def _checked(trace: Approved, cut: Intervention, pair: Pair, decode: Decode, window: Window) -> Cut | str:
    """With ends of their own, a fingerprint, and the questions to the judge, if the ids spell the texts."""
    chosen = _ends(decode, pair, pair.chosen, pair.chosen_ids, trace.finish_reason == "stop")
    rejected = _ends(decode, pair, pair.rejected, pair.rejected_ids, True)
    if chosen is None or rejected is None:
        return "other tokenizer"
    pair = replace(
        pair,
        chosen_ids=chosen[0],
        chosen_end=chosen[1],
        reasoning_tokens=min(pair.reasoning_tokens, len(chosen[0])),
        rejected_ids=rejected[0],
        rejected_end=rejected[1],
        rejected_finished=bool(rejected[1]),
        sha256=fingerprint(pair.prompt_ids, chosen[0], rejected[0]),
    )
    return Cut(pair, list(_questions(trace, cut, window)))


def open_end(trace: Approved, cut: Intervention, decode: Decode, model: str | None = None) -> Open | str:
    """What was cut, and its prefix, or a key of ``REASONS``.

    Args:
        cut: one that gave no pair, because the ladder refused there, or what followed its trigger was cut again.
    """
    reason = _unfit(trace, cut, model, besides=AGAIN)
    if reason:
        return reason
    pair = _pair(trace, cut, _line(trace), 0, decode(trace.origin.prompt_ids))
    pair = replace(pair, chosen="", chosen_ids=(), reasoning_tokens=0, chosen_finished=False, trigger_id="")
    rejected = _ends(decode, pair, pair.rejected, pair.rejected_ids, True)
    if rejected is None or bare(decode(pair.prompt_ids)) != bare(pair.prompt):
        return "other tokenizer"
    more = {"rejected_ids": rejected[0], "rejected_end": rejected[1], "rejected_finished": bool(rejected[1])}
    return Open(replace(pair, **more), trace.prompt)  # type: ignore[arg-type]


def _ends(decode: Decode, pair: Pair, text: str, ids: Ids, finished: bool) -> tuple[Ids, Ids] | None:
    """The ids that spell a text, and the one behind them that ends it, if there is one; None where they do not.

    An engine may tell the end-of-text token, which has an id and no text.
    """
    wanted = bare(pair.prompt + text)
    if bare(decode((*pair.prompt_ids, *ids))) == wanted:
        return ids, ()
    if finished and bare(decode((*pair.prompt_ids, *ids[:-1]))) == wanted:
        return ids[:-1], ids[-1:]
    return None


def _unfit(trace: Approved, cut: Intervention, model: str | None, besides: Sequence[str] = ()) -> str | None:
    """What speaks against it without a look at the tokens, ``besides`` some reasons."""
    tests = {
        "other model": model is not None and trace.origin.model != model,
        "shadow": cut.shadow,
        "refused": cut.rung != "trigger",
        "cut again": cut.attempt != trace.interventions[-1].attempt,
        "unfinished": trace.outcome in ("cancelled", "failed"),
        "no cue": not of_cue(trace, cut),
        "in response": cut.phase != "reasoning",
        "was sent": not cut.withheld,
        "no ids": not trace.origin.prompt_ids or not cut.withheld_ids,
    }
    return next((reason for reason, holds in tests.items() if holds and reason not in besides), None)


def _line(trace: Approved) -> _Line:
    forced: list[bool] = []
    reasoning: list[bool] = []
    for piece in trace.pieces:
        forced += [piece.forced] * len(piece.token_ids)
        reasoning += [piece.channel == "reasoning"] * len(piece.token_ids)
    ids = tuple(token for piece in trace.pieces for token in piece.token_ids)
    return _Line("".join(piece.text for piece in trace.pieces), ids, forced, reasoning)


def _pair(trace: Approved, cut: Intervention, line: _Line, forced: int, rendered: str) -> Pair:
    thought = line.reasoning[cut.kept_tokens :]
    return replace(
        blank(trace, f"{trace.id}#{cut.attempt}"),
        prompt=rendered + line.text[: cut.kept_chars],
        chosen=line.text[cut.kept_chars :],
        rejected=cut.withheld + cut.discarded,
        prompt_ids=(*trace.origin.prompt_ids, *line.ids[: cut.kept_tokens]),
        chosen_ids=line.ids[cut.kept_tokens :],
        rejected_ids=(*cut.withheld_ids, *cut.discarded_ids),
        prefix_tokens=cut.kept_tokens,
        forced_tokens=forced,
        reasoning_tokens=max((n + 1 for n, mark in enumerate(thought) if mark), default=0),
        chosen_finished=trace.finish_reason == "stop",
        trigger_id=cut.trigger_id or "",
        cause=cut.cause,
    )


def blank(trace: Approved, name: str) -> Pair:
    """A pair of which only the origin is known."""
    origin = trace.origin
    return Pair(
        id=name,
        trace_id=trace.id,
        request=trace.request,
        prompt="",
        chosen="",
        rejected="",
        prompt_ids=(),
        chosen_ids=(),
        rejected_ids=(),
        prefix_tokens=0,
        forced_tokens=0,
        reasoning_tokens=0,
        chosen_finished=False,
        rejected_finished=False,
        chosen_end=(),
        rejected_end=(),
        trigger_id="",
        cause="",
        model=origin.model,
        adapter=origin.adapter or "",
        dialect=trace.dialect,
        judge=origin.judge,
        policy=origin.policy,
        created=origin.created,
        messages=json.dumps(origin.messages),
        sampling=json.dumps(dict(origin.sampling)),
        approved_by=trace.reviewed.by if trace.reviewed else "",
        approved_rule=trace.reviewed.rule or "" if trace.reviewed else "",
        sha256="",
    )


def _questions(trace: Approved, cut: Intervention, window: Window) -> Iterator[Query]:
    """The steps behind the trigger, as the guard would ask about them."""
    prompt, context, at = ends_of(trace.prompt, window.prompt_chars), "", 0
    own: dict[str, str] = {"reasoning": "", "response": ""}
    for piece in trace.pieces:
        before = piece.text[: max(0, cut.kept_chars + len(cut.trigger) - at)]
        if piece.channel != "markup":
            context += before
            own[piece.channel] += piece.text[len(before) :]
        at += len(piece.text)
    phases: tuple[Phase, ...] = ("reasoning", "response")
    for phase in phases:
        for n, step in enumerate(split(own[phase], window.max_step_chars)):
            yield Query(prompt, context[max(0, len(context) - window.context_chars) :], step.strip(), phase, n)
            context += step
