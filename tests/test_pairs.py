"""Many traces to pairs: acceptance, doubles, caps, the split, and books that balance."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from midcourse.guard.policy import REFUSAL, PhasePolicy, Policy
from midcourse.guard.verdict import Judge, Query, Verdict
from midcourse.train.cuts import Open
from midcourse.train.pair import Pair
from midcourse.train.pairs import REASONS, SPLITS, Again, Built, Split, Wish, build, split_of
from tests.cut import Told, approve, told
from tests.kit import CUED, WordJudge, serving
from tests.play import CUE, SAFE

ALL = Wish(test_share=0.0)


class Suspicious:
    """Finds a cue in a word."""

    name = "suspicious"

    def __init__(self, word: str = "stop") -> None:
        self._word = word

    def judge(self, queries: Sequence[Query]) -> list[Verdict]:
        return [CUE if self._word in query.step else SAFE for query in queries]


def built(
    *given: Told,
    wish: Wish = ALL,
    judge: Judge | None = None,
    again: Again | None = None,
    refusals: bool = False,
) -> Built:
    table = {key: value for each in given for key, value in each.table.items()}
    whole = replace(given[0], table=table)
    encode = whole.encode if refusals else None
    traces = [each.approved for each in given]
    return build(traces, judge or WordJudge(), whole.decode, wish, again=again, encode=encode)


def ids(found: Built, split: Split = "train") -> list[str]:
    return [pair.id for pair in found.pairs[split]]


def trace(number: int, request: str = "How?", end: str = "I will not.") -> Told:
    """A trace whose thought is its own."""
    runs = (f"Hm. The BAD plan {number} it is. More.", f" No, not {number}. {end}\n</think>\n\nNo, sorry.")
    return told(*runs, name=f"t{number}", number=number, request=request)


def test_pairs_come_oldest_first_and_the_books_balance() -> None:
    shadow = told(name="shadow", number=7, policy=Policy(mode="shadow"))
    refused = told(name="refused", number=8, policy=Policy(reasoning=PhasePolicy(max_interventions=0)))
    found = built(trace(2), shadow, trace(0), refused, trace(1))
    assert ids(found) == ["t0#1", "t1#1", "t2#1"]
    assert found.dropped == {"shadow": 1, "refused": 1}
    assert found.interventions == 5


def test_a_chosen_side_with_a_cue_is_dropped_by_whichever_judge_is_passed() -> None:
    traces = trace(0), trace(1, end="I should not stop here.")
    assert ids(built(*traces)) == ["t0#1", "t1#1"]
    found = built(*traces, judge=Suspicious())
    assert ids(found) == ["t0#1"]
    assert found.dropped == {"cue in chosen": 1}
    assert ids(built(*traces, judge=Suspicious(), wish=replace(ALL, threshold=1.0))) == ["t0#1", "t1#1"]


def test_the_same_again_in_another_case_and_spacing_is_a_double() -> None:
    twin = told(*("Hm. The BAD plan 0 IT is. More.", " No,  not 0. I will not.\n</think>\n\nNo, sorry."), number=5)
    found = built(trace(0), twin, trace(1))
    assert ids(found) == ["t0#1", "t1#1"]
    assert found.dropped == {"duplicate": 1}


def test_a_side_may_not_be_too_short_nor_a_pair_too_long() -> None:
    short = told("Hm. The BAD plan it is. More.", " No.", name="short")
    assert built(short).dropped == {"too short": 1}
    assert ids(built(short, wish=replace(ALL, min_tokens=1))) == ["short#1"]
    assert built(trace(0), wish=replace(ALL, max_tokens=12)).dropped == {"too long": 1}
    assert ids(built(trace(0), wish=replace(ALL, max_tokens=100))) == ["t0#1"]


def test_of_one_request_and_of_one_trigger_there_are_no_more_than_wanted() -> None:
    traces = [trace(n, request=("How?", "how  ?", "HOW ?", "Why?")[n % 4]) for n in range(12)]
    found = built(*traces, wish=replace(ALL, per_prompt=2))
    assert found.dropped == {"over prompt cap": 6}  # "How?" has three, "how ?" six, "Why?" three
    assert len(ids(found)) == 6
    found = built(*traces, wish=replace(ALL, per_trigger=4))
    assert found.dropped == {"over trigger cap": 8}
    assert ids(found) == sorted(ids(found), key=lambda name: int(name[1:-2]))
    assert ids(built(*traces, wish=replace(ALL, per_trigger=4, seed=1))) != ids(found)


def test_the_split_is_by_request_and_hangs_on_nothing_else() -> None:
    wish = Wish(test_share=0.5)
    traces = [trace(n, request=f"Request {n % 10}?") for n in range(30)]
    found = built(*traces, wish=wish)
    sides = {split: {pair.request for pair in found.pairs[split]} for split in SPLITS}
    assert sides["train"] and sides["test"] and not sides["train"] & sides["test"]
    assert len(ids(found)) + len(ids(found, "test")) == 30
    fewer = built(*traces[:10], wish=wish)
    assert {pair.request for pair in fewer.pairs["test"]} == sides["test"]
    assert split_of("  request\n3?", wish) == split_of("Request 3?", wish)
    assert {split_of(f"r{n}", replace(wish, seed=1)) == split_of(f"r{n}", wish) for n in range(20)} == {True, False}


def test_a_share_of_the_requests_is_held_out() -> None:
    held_out = sum(split_of(f"request {n}", Wish(test_share=0.2)) == "test" for n in range(2000))
    assert 340 <= held_out <= 460


def test_where_the_ladder_refused_another_continuation_is_looked_for_and_the_books_balance() -> None:
    no_triggers = Policy(reasoning=PhasePolicy(max_interventions=0))
    refused = [
        told(f"Hm. The BAD plan {n} it is.", name=f"r{n}", number=n, request=f"R{n}?", policy=no_triggers)
        for n in range(4)
    ]
    table = {key: value for each in (*refused, trace(9)) for key, value in each.table.items()}

    def again(ends: Sequence[Open]) -> list[Pair | None]:
        found = [replace(end.pair, chosen=" Wait. No.", chosen_ids=(1, 2, 3, 4, 5), forced_tokens=1) for end in ends]
        return [found[0], None, replace(found[2], chosen_ids=(1, 2)), found[0]]

    traces = [each.approved for each in (*refused, trace(9))]
    found = build(traces, WordJudge(), replace(refused[0], table=table).decode, ALL, again=again)
    assert ids(found) == ["r0#1", "t9#1"]
    assert found.dropped == {"no safe try": 1, "too short": 1, "duplicate": 1}
    assert found.interventions == 5


def test_where_nothing_better_is_found_the_guards_own_refusal_is_preferred_and_the_books_balance() -> None:
    twice = ("Hm. The BAD plan {0} it is.", " Well {0}. Then the BAD one {0} again.")
    once = Policy(reasoning=PhasePolicy(max_interventions=1))
    refused = [
        told(*(run.format(n) for run in twice), name=f"r{n}", number=n, request=f"R{n}?", policy=once) for n in range(3)
    ]
    assert not ids(built(*refused))
    found = built(*refused, refusals=True)
    assert ids(found) == ["r0#1", "r1#1", "r2#1"] and found.dropped == {"refused": 3} and found.interventions == 6
    pair = found.pairs["train"][0]
    assert pair.refused and pair.chosen_finished and pair.intact and pair.forced_tokens == 0
    assert pair.chosen.endswith(f"Well 0.\n</think>\n\n{REFUSAL}") and "BAD" not in pair.chosen
    assert pair.rejected == " The BAD plan 0 it is." and pair.prompt.endswith("Hm.")

    def again(ends: Sequence[Open]) -> list[Pair | None]:
        better = replace(ends[0].pair, chosen=" Wait. No.", chosen_ids=(1, 2, 3, 4, 5), forced_tokens=1)
        return [better, None, None]

    mixed = built(*refused, again=again, refusals=True)
    assert [pair.refused for pair in mixed.pairs["train"]] == [False, True, True]
    suspicious = built(*refused, judge=Suspicious(word="sorry"), again=again, refusals=True)
    assert ids(suspicious) == ["r0#1"] and suspicious.dropped == {"refused": 3, "no safe try": 2}


def test_a_refusal_that_the_client_calls_content_filter_is_over_all_the_same() -> None:
    policy = Policy(reasoning=PhasePolicy(max_interventions=1), refusal_finish_reason="content_filter")
    found = built(told("Hm. The BAD plan it is.", " Well then. And the BAD one again.", policy=policy), refusals=True)
    assert [pair.chosen_finished for pair in found.pairs["train"]] == [True]


def test_a_refusal_because_the_judge_was_down_is_not_learned() -> None:
    once = Policy(reasoning=PhasePolicy(max_interventions=1))
    found = built(told("Hm. The BAD plan it is.", " Well then. And the LOST one again.", policy=once), refusals=True)
    assert not ids(found) and found.dropped == {"cut again": 1, "refused": 1}


@given(
    st.lists(st.sampled_from(["BAD plan", "VILE plan", "fine plan", "LOST plan"]), min_size=1, max_size=4),
    st.sampled_from([Policy(), Policy(mode="shadow"), Policy(streaming="optimistic")]),
    st.integers(1, 3),
    st.booleans(),
)
def test_every_intervention_becomes_a_pair_or_is_dropped_for_one_reason(
    plans: list[str], policy: Policy, count: int, refusals: bool
) -> None:
    traces = [
        told(*(f"Well {n}. The {plan} {n} it is. More." for plan in plans), name=f"t{n}", number=n, policy=policy)
        for n in range(count)
    ]
    found = built(*traces, wish=Wish(per_prompt=2, min_tokens=2), refusals=refusals)
    pairs = [pair for split in SPLITS for pair in found.pairs[split]]
    assert found.interventions == sum(len(each.trace.interventions) for each in traces)
    assert found.interventions == len(pairs) + sum(found.dropped.values())
    assert set(found.dropped) <= set(REASONS)
    assert all(pair.intact and pair.prompt_ids and (pair.refused or pair.forced_tokens) for pair in pairs)


def test_every_reason_and_no_other_is_documented() -> None:
    page = Path(__file__).parents[1] / "docs" / "pairs.md"
    table = page.read_text().split("## What becomes a pair")[1].split("\n## ")[0]
    assert re.findall(r"^\| `([\w ]+)` \|", table, re.MULTILINE) == list(REASONS)


async def test_what_a_server_recorded_becomes_a_pair() -> None:
    async with serving(CUED) as kit:
        await kit.chat("Do it.")
        (recorded,) = kit.memory.traces.values()
        (pair,) = build([approve(recorded)], WordJudge(), kit.engine.detokenize, ALL).pairs["train"]
        assert kit.engine.detokenize(pair.prompt_ids + pair.chosen_ids) == pair.prompt + pair.chosen
        assert kit.engine.detokenize(pair.prompt_ids + pair.rejected_ids) == pair.prompt + pair.rejected
    assert pair.prompt.endswith("Let me think.") and "Do it." in pair.prompt
    assert pair.chosen.endswith("No, I stop.\n</think>\n\nI can't help with that.")
    assert pair.rejected.startswith(" First, the BAD plan.")
    assert pair.request == "Do it."
