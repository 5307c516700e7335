"""One intervention to one pair, on traces that a real session made."""

import json
from dataclasses import replace

import pytest

from midcourse.guard.delta import Delta
from midcourse.guard.dialect import R1
from midcourse.guard.phase import Phase
from midcourse.guard.policy import REFUSAL, PhasePolicy, Policy
from midcourse.guard.trace import Origin
from midcourse.models.replay import DEFAULT_WINDOW, Window
from midcourse.train.cuts import REASONS, Cut, Open, cut_of, open_end, refusal_of
from tests.cut import CALM, PROMPT, SAMPLING, Told, approve, told
from tests.play import tokens, words


def last_cut(of: Told, window: Window = DEFAULT_WINDOW, model: str | None = None) -> Cut | str:
    return cut_of(of.approved, of.trace.interventions[-1], of.decode, window, model)


def pair_of(of: Told) -> Cut:
    found = last_cut(of)
    assert isinstance(found, Cut), found
    return found


def test_a_pair_is_a_prefix_a_trigger_with_its_thought_and_a_cue_with_its() -> None:
    of = told()
    pair = pair_of(of).pair
    trigger = of.trace.interventions[0].trigger
    assert pair.prompt == "<user>How?<model>Let me think."
    assert pair.chosen == f"{trigger} No, I will not do that.\n</think>\n\nI can't help with that."
    assert pair.rejected.startswith(" First, the BAD plan.")
    assert (pair.id, pair.trace_id, pair.request, pair.cause) == ("t#1", "t", "How?", "cue")
    assert (pair.model, pair.adapter, pair.dialect, pair.judge) == ("m", "ipo-v1", "r1", "words")
    assert (json.loads(pair.sampling), json.loads(pair.messages)) == (SAMPLING, [{"role": "user", "content": "How?"}])
    assert (pair.approved_by, pair.approved_rule) == ("jo", "")
    assert (pair.chosen_finished, pair.rejected_finished) == (True, False)


def test_its_ids_are_those_that_were_generated() -> None:
    of = told()
    pair = pair_of(of).pair
    kept = tuple(range(3))  # "Let", " me", " think."
    assert pair.prompt_ids == (*PROMPT, *kept)
    assert pair.prefix_tokens == 3
    assert pair.rejected_ids == tuple(range(3, 3 + len(pair.rejected_ids)))
    assert pair.chosen_ids[0] == -1 and pair.chosen_ids[1:] == tuple(range(1000, 1000 + len(pair.chosen_ids) - 1))
    assert pair.forced_tokens == 1
    assert of.decode(pair.prompt_ids + pair.chosen_ids) == pair.prompt + pair.chosen
    assert of.decode(pair.prompt_ids + pair.rejected_ids) == pair.prompt + pair.rejected
    assert of.decode(pair.chosen_ids[: pair.reasoning_tokens]).endswith(" that.")
    assert pair.intact and not replace(pair, chosen_ids=(*pair.chosen_ids, 1)).intact


def test_a_marker_that_shares_a_token_with_the_cue_breaks_neither_text_nor_ids() -> None:
    run = tokens("<think>The", " BAD", " plan.", " More.", start=10)
    of = told(run, " No.\n</think>\n\nNo.", starts=Phase.PROMPT, dialect=R1)
    pair = pair_of(of).pair
    assert (pair.prompt, pair.prompt_ids) == ("<user>How?<model><think>", tuple(PROMPT))
    assert pair.rejected_ids[:3] == (10, 11, 12)
    assert of.decode(pair.chosen_ids[:1]).startswith("<think>")


def test_an_end_of_text_token_that_the_engine_told_is_kept_by_itself() -> None:
    end = Delta("", (2,), finish_reason="stop")
    of = told([*words("Hm. The BAD plan it is.", 10)[:-1], end], [*words(" No, I stop here.", 50)[:-1], end])
    of = replace(of, table=of.table | {2: "<|im_end|>"})
    pair = pair_of(of).pair
    assert (pair.chosen_end, pair.rejected_end) == ((2,), (2,))
    assert (pair.chosen_finished, pair.rejected_finished) == (True, True)
    assert pair.chosen_ids == (-1, 50, 51, 52, 53) and pair.rejected_ids == (11, 12, 13, 14, 15)
    assert pair.intact and pair.reasoning_tokens == 5
    cut_short = replace(of, trace=replace(of.trace, finish_reason="length"))
    assert last_cut(cut_short) == "other tokenizer"


def test_only_the_last_of_several_cuts_gives_a_pair() -> None:
    of = told("A step. The BAD plan. More.", " Still the BAD plan. More.", " No.\n</think>\n\nI can't.")
    first, last = (cut_of(of.approved, cut, of.decode, DEFAULT_WINDOW) for cut in of.trace.interventions)
    assert first == "cut again"
    assert isinstance(last, Cut)
    assert last.pair.prompt.startswith(f"<user>How?<model>A step.{of.trace.interventions[0].trigger}")
    assert last.pair.forced_tokens == 1
    assert last.pair.rejected.startswith(" Still the BAD plan.")
    assert of.decode(last.pair.prompt_ids + last.pair.chosen_ids) == last.pair.prompt + last.pair.chosen


def test_two_triggers_in_a_row_are_told_apart() -> None:
    of = told("A step. The BAD plan. More.", " The BAD plan. More.", " No.\n</think>\n\nI can't.")
    pair = pair_of(of).pair
    assert pair.prompt.endswith(of.trace.interventions[0].trigger)
    assert pair.chosen.startswith(of.trace.interventions[1].trigger)
    assert pair.chosen_ids[0] == -2


def test_the_judge_is_asked_about_what_stands_behind_the_trigger() -> None:
    of = told()
    trigger = of.trace.interventions[0].trigger
    queries = pair_of(of).queries
    assert [(query.step, query.phase) for query in queries] == [
        ("No, I will not do that.", "reasoning"),
        ("I can't help with that.", "response"),
    ]
    assert queries[0].context == f"Let me think.{trigger}"
    assert queries[1].context == f"Let me think.{trigger} No, I will not do that."
    found = last_cut(of, Window(context_chars=0))
    assert isinstance(found, Cut) and found.queries[0].context == ""


NONE = PhasePolicy(max_interventions=0)


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (told(policy=Policy(mode="shadow")), "shadow"),
        (told(policy=Policy(reasoning=NONE)), "refused"),
        (told(policy=Policy(streaming="optimistic")), "was sent"),
        (
            told(
                "Fine.\n</think>\n\nThe BAD plan. More.",
                " No, no.",
                policy=Policy(response=PhasePolicy(max_interventions=1)),
            ),
            "in response",
        ),
        (told("BAD plan. So.", " Round and round. Round and round. So.", CALM, policy=Policy(loop_limit=2)), "no cue"),
        (told([Delta("Hm. The BAD plan. More."), Delta("", finish_reason="stop")], CALM), "no ids"),
    ],
)
def test_what_gives_no_pair_says_why(of: Told, reason: str) -> None:
    assert of.trace.interventions
    assert last_cut(of) == reason
    assert reason in REASONS


def test_another_model_is_not_wanted_and_another_tokenizer_is_noticed() -> None:
    of = told()
    assert last_cut(of, model="other") == "other model"
    assert isinstance(last_cut(of, model="m"), Cut)
    shifted = replace(of, table=of.table | {1000: "x"})
    assert last_cut(shifted) == "other tokenizer"


def test_a_generation_that_did_not_end_and_a_record_that_does_not_add_up_give_none() -> None:
    of = told()
    cut, trace = of.trace.interventions[0], of.trace
    assert last_cut(replace(of, trace=replace(trace, outcome="cancelled"))) == "unfinished"
    assert last_cut(replace(of, trace=replace(trace, origin=Origin(model="m")))) == "no ids"
    for wrong in (replace(cut, kept_tokens=cut.kept_tokens + 1), replace(cut, trigger="Another sentence.")):
        changed = approve(replace(trace, interventions=(wrong,)))
        assert cut_of(changed, wrong, of.decode, DEFAULT_WINDOW) == "inconsistent"


def test_a_cue_whose_ladder_refused_is_open_for_another_continuation() -> None:
    of = told(policy=Policy(reasoning=PhasePolicy(max_interventions=0)))
    assert last_cut(of) == "refused"
    found = open_end(of.approved, of.trace.interventions[0], of.decode)
    assert isinstance(found, Open) and found.prompt == of.trace.prompt
    pair, whole = found.pair, pair_of(told()).pair
    assert (pair.prompt, pair.prompt_ids) == (whole.prompt, whole.prompt_ids)
    assert (pair.rejected, pair.rejected_ids) == (whole.rejected, whole.rejected_ids)
    assert (pair.chosen, pair.chosen_ids, pair.forced_tokens, pair.trigger_id) == ("", (), 0, "")


def test_the_refusal_of_a_trace_that_did_not_end_in_one_is_none() -> None:
    of = told(policy=Policy(reasoning=PhasePolicy(max_interventions=0)))
    (cut,) = of.trace.interventions
    found = refusal_of(of.approved, cut, of.decode, of.encode, DEFAULT_WINDOW)
    assert isinstance(found, Cut) and len(found.pair.chosen_ids) == 1
    assert found.pair.chosen == f"\n</think>\n\n{REFUSAL}" and not found.pair.trigger_id
    ended = approve(replace(of.trace, outcome="ended"))
    assert refusal_of(ended, cut, of.decode, of.encode, DEFAULT_WINDOW) == "refused"
    assert refusal_of(of.approved, cut, of.decode, lambda text: (0,), DEFAULT_WINDOW) == "other tokenizer"


def test_what_speaks_against_a_pair_otherwise_speaks_against_another_continuation_as_well() -> None:
    of = told(policy=Policy(reasoning=PhasePolicy(max_interventions=0)))
    (cut,) = of.trace.interventions
    assert open_end(of.approved, replace(cut, phase="response"), of.decode) == "in response"
    assert open_end(of.approved, cut, of.decode, model="another") == "other model"
    assert open_end(of.approved, cut, lambda ids: "another text") == "other tokenizer"
