"""What is learned of a pair, token by token, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from midcourse.models.rows import DataError
from midcourse.train.ipo_rows import Cutting, check, mixed, plain, retained, rows_of
from tests.tiny_train import CHOSEN, PREFIX, REJECTED, TRIGGER, ids, pair, retain_file, tokenizer

END = tokenizer().eos_token_id


def test_a_row_is_the_ids_of_its_pair_and_an_end_only_where_the_model_ended() -> None:
    (row,) = rows_of([pair()], tokenizer()).rows
    assert row.prompt_ids == pair().prompt_ids
    assert row.chosen_ids == (*ids(TRIGGER + CHOSEN), END)
    assert row.rejected_ids == ids(f"{REJECTED}0")
    assert (row.chosen_skipped, row.learned_prefix) == (0, 0)


def test_the_end_that_the_engine_told_is_the_end_that_is_learned() -> None:
    told = pair(chosen_end=(7,), rejected_finished=True, rejected_end=(8,))
    (row,) = rows_of([told], tokenizer()).rows
    assert row.chosen_ids[-1] == 7 and row.rejected_ids[-1] == 8


def test_the_trigger_is_learned_or_is_context() -> None:
    (row,) = rows_of([pair()], tokenizer(), Cutting(trigger="context")).rows
    assert row.chosen_skipped == len(ids(TRIGGER))


def test_the_whole_reasoning_is_learned_by_full_dpo_and_not_the_request() -> None:
    (row,) = rows_of([pair()], tokenizer(), Cutting(whole=True)).rows
    assert row.prompt_ids[-row.learned_prefix :] == ids(PREFIX)


def test_a_side_that_is_too_long_loses_its_end() -> None:
    prompt = len(pair().prompt_ids)
    found = rows_of([pair()], tokenizer(), Cutting(max_length=prompt + 10))
    assert [len(side) for row in found.rows for side in (row.chosen_ids, row.rejected_ids)] == [10, 10]
    assert END not in found.rows[0].chosen_ids
    assert rows_of([pair()], tokenizer(), Cutting(max_length=None)).rows[0].chosen_ids[-1] == END


@pytest.mark.parametrize("room", [-5, 0, 3])
def test_a_prompt_that_leaves_no_room_for_both_sides_drops_the_pair_and_counts_it(room: int) -> None:
    found = rows_of([pair()], tokenizer(), Cutting(max_length=len(pair().prompt_ids) + room, min_side=4))
    assert found.rows == [] and found.dropped == {"too long": 1}


def test_a_trigger_that_is_context_does_not_count_as_a_side() -> None:
    room = len(pair().prompt_ids) + len(ids(TRIGGER)) + 2
    assert rows_of([pair()], tokenizer(), Cutting(max_length=room, trigger="context")).dropped == {"too long": 1}
    assert rows_of([pair()], tokenizer(), Cutting(max_length=room)).dropped == {}


def test_a_side_of_a_trigger_alone_teaches_nothing_where_that_is_context() -> None:
    alone = pair(chosen=TRIGGER, chosen_finished=False)
    assert rows_of([alone], tokenizer(), Cutting(trigger="context")).dropped == {"nothing to learn": 1}


def test_ids_that_are_another_text_are_refused() -> None:
    for wrong in (replace(pair(), chosen="Another."), replace(pair(), rejected_ids=(1, 2)), pair(prompt_ids=(99999,))):
        with pytest.raises(DataError, match="t0#1: its ids are another text by this tokenizer"):
            check(wrong, tokenizer())


def test_stage_2_mixes_by_a_ratio_and_a_draw() -> None:
    harmful, benign = [pair(n) for n in range(10)], [pair(100 + n) for n in range(8)]
    mix = mixed(harmful, benign, 0.5, seed=0)
    assert [sum(p in kind for p in mix) for kind in (harmful, benign)] == [4, 8]
    assert mix == mixed(harmful, benign, 0.5, seed=0) != mixed(harmful, benign, 0.5, seed=1)
    assert len(mixed(harmful[:2], benign, 3, seed=0)) == 3 and mixed([], benign, 3, seed=0) == []
    few = mixed(harmful[:2], benign, 0.5, seed=0)
    assert [sum(p in kind for p in few) for kind in (harmful, benign)] == [2, 4]


def test_benign_reasoning_is_rendered_by_the_models_template_and_ends_where_it_has_a_response(tmp_path: Path) -> None:
    (first, second) = retained([retain_file(tmp_path / "r.jsonl")], tokenizer(), "r1", 256)
    opened = "<|im_start|>user\nSum 2+2?<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert tokenizer().decode(first["prompt_ids"]) == opened
    assert tokenizer().decode(first["completion_ids"]) == "Four, surely.\n</think>\n\nDone.<|im_end|>"
    assert second["completion_ids"][-1] == END


def test_a_thought_without_a_response_is_not_closed_and_a_long_one_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"id": "a", "prompt": "Hi", "reasoning": "Let me see."}))
    (row,) = retained([file], tokenizer(), "r1", 256)
    assert tokenizer().decode(row["completion_ids"]) == "Let me see."
    assert len(retained([file], tokenizer(), "r1", 5)[0]["completion_ids"]) == 5


def test_a_template_that_does_not_open_the_tag_has_it_opened(tmp_path: Path) -> None:
    made = tokenizer().__class__(tokenizer_object=tokenizer().backend_tokenizer, eos_token="<|im_end|>")
    made.chat_template = "{{ messages[0].content }}{% if add_generation_prompt %}:{% endif %}"
    file = retain_file(tmp_path / "r.jsonl")
    (row, _) = retained([file], made, "r1", 256)
    assert str(made.decode(row["completion_ids"])).startswith("<think>\nFour, surely.\n</think>\n\n")
    (row, _) = retained([file], made, "none", 256)
    assert str(made.decode(row["completion_ids"])).startswith("Four, surely.Done.")


@pytest.mark.parametrize(("benign", "said"), [(False, "false"), (None, "null")])
def test_what_is_not_known_to_be_benign_is_never_retained(tmp_path: Path, benign: bool | None, said: str) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"id": "a", "prompt": "Hi", "reasoning": "Let me see.", "benign": benign}))
    with pytest.raises(DataError, match=rf"r\.jsonl:1: benign: is {said}"):
        retained([file], tokenizer(), "r1", 256)


@pytest.mark.parametrize("split", ["dev", "eval", "research"])
def test_a_row_that_is_there_to_measure_with_is_never_retained(tmp_path: Path, split: str) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"id": "a", "prompt": "Hi", "reasoning": "Let me see.", "benign": True, "split": split}))
    with pytest.raises(DataError, match=rf"r\.jsonl:1: split: is '{split}'; only train"):
        retained([file], tokenizer(), "r1", 256)


def test_rows_are_plain_lists_for_datasets() -> None:
    (row,) = plain(rows_of([pair()], tokenizer()).rows)
    assert row["prompt_ids"] == list(pair().prompt_ids) and row["chosen_skipped"] == 0
