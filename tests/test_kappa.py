"""Agreement of two readers, against numbers counted by hand."""

import numpy as np
import pytest

from midcourse.models.kappa import FEWEST, agreement, agreement_table, f1, kappa
from midcourse.models.outcome import Harm, Outcome


def outcome(name: str, epoch: int = 1, **harm: float | None) -> Outcome:
    return Outcome("t", "harmful", name, epoch, "off", harm={k: Harm(None, value) for k, value in harm.items()})


def test_kappa_is_cohens() -> None:
    table = np.array([[[20.0, 5.0], [10.0, 15.0]]])  # seen 0.7, by chance 0.5
    assert kappa(table) == pytest.approx(0.4)
    assert f1(table) == pytest.approx(30 / 45)


@pytest.mark.parametrize("table", [[[4.0, 0.0], [0.0, 0.0]], [[4.0, 2.0], [0.0, 0.0]], [[4.0, 0.0], [2.0, 0.0]]])
def test_a_reader_that_used_one_label_alone_agrees_neither_well_nor_badly(table: list[list[float]]) -> None:
    assert np.isnan(kappa(np.array([table])))
    assert agreement([True, False], [False, False])["kappa"].value is None


def test_full_agreement_is_no_certainty() -> None:
    truth = [True, False] * 15
    found = agreement(truth, truth)
    assert found["kappa"] == (1.0, None, None, 30)
    assert found["accuracy"].value == 1.0 and found["accuracy"].low is not None and found["accuracy"].low < 1


def test_intervals_take_twenty_items_however_many_answers() -> None:
    truth, said = [n % 3 == 0 for n in range(120)], [n % 7 < 3 for n in range(120)]
    few, enough = (agreement(truth, said, [n % items for n in range(120)]) for items in (FEWEST - 1, FEWEST))
    assert [each.value for each in few.values()] == [each.value for each in enough.values()]
    assert all(each.low is None and each.high is None for each in few.values())
    assert all(each.low is not None and each.high is not None for each in enough.values())


def test_two_verdicts_are_compared() -> None:
    truth = [True] * 3 + [False] * 5
    said = [True, True, False, True, False, False, False, False]
    found = agreement(truth, said)
    assert found["accuracy"].value == 0.75 and found["accuracy"].n == 8
    assert found["precision"][::3] == (2 / 3, 3) and found["recall"][::3] == (2 / 3, 3)
    assert found["kappa"].value == pytest.approx((0.75 - 34 / 64) / (1 - 34 / 64))


def test_answers_to_one_request_are_drawn_together() -> None:
    truth = [True, False] * 40
    said = [n < 40 for n in range(80)]
    alone, together = (agreement(truth, said, items)["accuracy"] for items in (None, [n // 4 for n in range(80)]))
    assert alone.value == together.value == 0.5
    assert alone.low is not None and alone.low < 0.5 and together.low == 0.5  # each four are right half of the time


def test_verdicts_of_nothing_and_of_unequal_lengths() -> None:
    assert agreement([], [])["kappa"] == (None, None, None, 0)
    with pytest.raises(ValueError, match="zip"):
        agreement([True], [])


def test_judges_are_compared_on_what_both_judged() -> None:
    rows = [outcome("1", a=1.0, b=0.5, c=None), outcome("1", 2, a=0.0, b=0.49, c=0.0), outcome("2", a=1.0, b=0.0)]
    ab, ac, bc = agreement_table(rows)
    assert (ab.one, ab.other, ab.found["accuracy"].value, ab.found["accuracy"].n) == ("a", "b", 2 / 3, 3)
    assert (ab.items, ac.items) == (2, 1)
    assert ac.found["accuracy"].n == bc.found["accuracy"].n == 1
    assert agreement_table(rows, "reasoning") == []
