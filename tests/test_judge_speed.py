"""The texts and the percentile of the speed benchmark; what is timed is not tested."""

import runpy
from pathlib import Path
from random import Random
from typing import Any

import pytest

SPEC: dict[str, Any] = runpy.run_path(str(Path(__file__).resolve().parents[1] / "benchmarks" / "judge_speed.py"))


def words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("most", [1, 2, 15, 30, 100])
def test_a_sentence_has_as_many_tokens_as_it_may(most: int) -> None:
    for seed in range(20):
        text = SPEC["sentence"](words, most, Random(seed))
        assert words(text) == most
        assert text[0].isupper() and text.endswith(".") and "," not in text[-2:]


def test_a_stream_goes_on_from_what_it_said() -> None:
    lengths = iter(range(100))
    queries = SPEC["stream"](lambda most: f"{next(lengths)} of {most}.", (30, 30, 15))
    assert [(q.prompt, q.context, q.step, q.index) for q in queries] == [
        ("0 of 36.", "", "1 of 30.", 0),
        ("0 of 36.", "1 of 30.", "2 of 30.", 1),
        ("0 of 36.", "1 of 30. 2 of 30.", "3 of 15.", 2),
    ]


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.95, 10), (0.1, 1), (1.0, 10)])
def test_a_percentile_is_one_of_the_values(share: float, value: int) -> None:
    assert SPEC["percentile"]([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == value
    assert SPEC["percentile"]([3.0], share) == 3.0
