"""Rows to tensors: what is a label, who sees whom, and that both layouts are one loss."""

from typing import Any

import pytest
import torch

from midcourse.train.ipo_batch import IGNORED, PAD, Batch, Collator, attention, line
from midcourse.train.ipo_loss import CHOSEN, NOTHING, PREFIX, REJECTED, RETAINED, Sums, sums
from tests.tiny_train import network

ROW: dict[str, Any] = {
    "prompt_ids": [1, 2, 3],
    "chosen_ids": [4, 5, 6],
    "rejected_ids": [7, 8],
    "chosen_skipped": 0,
    "learned_prefix": 0,
}
LONGER: dict[str, Any] = {
    **ROW,
    "prompt_ids": [11, 12, 13, 14],
    "chosen_ids": [15, 16, 17, 18, 19],
    "rejected_ids": [21, 22, 23],
}
KEPT = {"prompt_ids": [31, 32], "completion_ids": [33, 34, 35]}


def scored(batch: Batch, together: bool) -> Sums:
    """Sums by the tiny model, from all logits."""
    branch = batch["branch"]
    mask = attention(branch) if together else (branch != PAD).long()
    with torch.no_grad():
        logits = network()(
            input_ids=batch["input_ids"], position_ids=batch["position_ids"], attention_mask=mask, use_cache=False
        ).logits
    labels = batch["shift_labels"]
    logps = logits.log_softmax(-1).gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return sums(logps * (labels != IGNORED), batch["part"], batch["owner"])


def by_hand(prompt: list[int], side: list[int]) -> float:
    """The log-probability of a side behind a prompt, token by token."""
    with torch.no_grad():
        logps = network()(input_ids=torch.tensor([prompt + side])).logits.log_softmax(-1)[0]
    return sum(float(logps[len(prompt) + n - 1, token]) for n, token in enumerate(side))


def test_a_line_holds_the_prompt_once_and_labels_each_side_exactly() -> None:
    found = line([1, 2, 3], ([4, 5, 6], 0, CHOSEN), ([7, 8], 0, REJECTED))
    assert found.ids == [1, 2, 3, 4, 5, 3, 7]
    assert found.labels == [IGNORED, IGNORED, 4, 5, 6, 7, 8]
    assert found.part == [NOTHING, NOTHING, CHOSEN, CHOSEN, CHOSEN, REJECTED, REJECTED]
    assert found.position == [0, 1, 2, 3, 4, 2, 3]
    assert found.branch == [0, 0, 1, 1, 1, 2, 2]


def test_a_trigger_that_is_context_is_read_and_not_learned() -> None:
    found = line([1, 2, 3], ([4, 5, 6], 2, CHOSEN), ([7], 0, REJECTED))
    assert found.ids == [1, 2, 3, 4, 5, 3]
    assert found.labels == [IGNORED, IGNORED, IGNORED, IGNORED, 6, 7]
    assert found.part == [NOTHING] * 4 + [CHOSEN, REJECTED]


@pytest.mark.parametrize(("learned", "labels"), [(0, [IGNORED] * 3), (1, [IGNORED, IGNORED, 4]), (3, [2, 3, 4])])
def test_a_learned_prefix_is_the_end_of_the_prompt(learned: int, labels: list[int]) -> None:
    found = line([1, 2, 3, 4], ([5], 0, CHOSEN), learned_prefix=learned)
    assert found.labels == [*labels, 5]
    assert found.part.count(PREFIX) == learned


@pytest.mark.parametrize("together", [True, False])
def test_only_the_beginning_of_a_side_is_compared_and_all_of_the_chosen_one_is_learned(together: bool) -> None:
    whole, short = (scored(Collator(0, together, preferred=n)([LONGER]), together) for n in (None, 2))
    chosen, rejected = LONGER["chosen_ids"], LONGER["rejected_ids"]
    assert len(chosen) > 2 and len(rejected) > 2
    assert short.chosen[0].item() == pytest.approx(by_hand(LONGER["prompt_ids"], chosen[:2]), abs=1e-4)
    assert short.rejected[0].item() == pytest.approx(by_hand(LONGER["prompt_ids"], rejected[:2]), abs=1e-4)
    assert short.learned.tolist() == pytest.approx(whole.learned.tolist(), abs=1e-4)
    assert short.learned_tokens.tolist() == whole.learned_tokens.tolist()
    assert torch.equal(*(Collator(0, together, preferred=n)([LONGER])["shift_labels"] for n in (None, 99)))


def test_a_trigger_that_is_read_and_not_learned_is_not_compared_either() -> None:
    found = line([1], ([2, 3, 4, 5], 2, CHOSEN), ([6, 7], 0, REJECTED), preferred=1)
    assert found.part == [NOTHING] * 2 + [CHOSEN, PREFIX] + [REJECTED, NOTHING]
    assert found.labels == [IGNORED, IGNORED, 4, 5, 6, IGNORED]


def test_apart_each_side_is_a_line_and_a_prefix_is_learned_once() -> None:
    batch = Collator(pad=0, together=False)([{**ROW, "learned_prefix": 2}])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5], [1, 2, 3, 7, 0]]
    assert batch["part"].tolist() == [[PREFIX] * 2 + [CHOSEN] * 3, [NOTHING] * 2 + [REJECTED] * 2 + [NOTHING]]
    assert batch["owner"].tolist() == [0, 0]


def test_a_side_sees_the_prompt_and_itself_and_never_the_other() -> None:
    batch = Collator(pad=0)([ROW])
    seen = attention(batch["branch"])[0, 0]
    assert seen[4].nonzero().flatten().tolist() == [0, 1, 2, 3, 4]
    assert seen[6].nonzero().flatten().tolist() == [0, 1, 5, 6]
    assert seen[1].nonzero().flatten().tolist() == [0, 1]


def test_what_is_behind_the_end_is_seen_by_nothing_but_itself() -> None:
    branch = Collator(pad=0)([ROW, LONGER])["branch"]
    assert branch[0].tolist()[7:] == [PAD] * 4
    seen = attention(branch)[0, 0]
    assert not seen[:7, 7:].any()
    assert torch.equal(seen[7:, 7:], torch.eye(4, dtype=torch.bool))


@pytest.mark.parametrize("together", [True, False])
def test_both_layouts_and_any_padding_score_a_side_as_it_is_scored_by_itself(together: bool) -> None:
    got = scored(Collator(pad=0, together=together)([ROW, LONGER]), together)
    for number, row in enumerate((ROW, LONGER)):
        assert got.chosen[number].item() == pytest.approx(by_hand(row["prompt_ids"], row["chosen_ids"]), abs=1e-4)
        assert got.rejected[number].item() == pytest.approx(by_hand(row["prompt_ids"], row["rejected_ids"]), abs=1e-4)


@pytest.mark.parametrize("together", [True, False])
def test_benign_reasoning_joins_a_batch_and_changes_no_pair(together: bool) -> None:
    collator = Collator(pad=0, together=together)
    pairs = collator([ROW])
    joined = scored(collator.join(pairs, collator.retained([KEPT, {**KEPT, "completion_ids": [36] * 9}])), together)
    alone = scored(pairs, together)
    assert joined.chosen.tolist() == pytest.approx(alone.chosen.tolist(), abs=1e-4)
    assert joined.rejected.tolist() == pytest.approx(alone.rejected.tolist(), abs=1e-4)
    assert joined.retained[0].item() == pytest.approx(by_hand([31, 32], [33, 34, 35]), abs=1e-4)
    assert joined.retained_tokens.tolist() == [3, 9]


def test_a_loss_without_a_rejected_side_does_not_compute_one() -> None:
    batch = Collator(pad=0, rejected=False)([ROW])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5]]
    assert REJECTED not in batch["part"] and RETAINED not in batch["part"]


def test_what_the_reference_said_travels_with_the_rows() -> None:
    rows = [{**ROW, "ref_chosen_logps": -1.5, "ref_rejected_logps": -2.5}, {**LONGER, "ref_chosen_logps": -3.0}]
    rows[1]["ref_rejected_logps"] = -4.0
    batch = Collator(pad=0)(rows)
    assert batch["ref_chosen_logps"].tolist() == [-1.5, -3.0]
    assert batch["ref_rejected_logps"].tolist() == [-2.5, -4.0]
