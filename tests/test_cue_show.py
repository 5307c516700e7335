"""Tables of what was measured: 80 columns, no control characters, the weakest family first."""

import pytest

from midcourse.models.calibrate import Found
from midcourse.models.curves import Estimate
from midcourse.models.evaluate import Report, Section
from midcourse.server.cue_show import report, section, thresholds

SENTENCE = ["precision", "recall_at_fpr_0.001"]


def family(value: float) -> Section:
    return {name: Estimate(value, 0.1, 0.9, 12_345) for name in ("det@0", "det@1", "det@2", "early")}


def a_report(groups: dict[str, Section]) -> Report:
    sentence = {name: Estimate(0.5, 0.25, 0.75, 99) for name in SENTENCE}
    return Report("judge\x1b[0m", 0.5, sentence, family(0.5), None, None, None, None, groups)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_a_report_fits_80_columns_and_shows_the_weakest_family_first(capsys: pytest.CaptureFixture[str]) -> None:
    report(a_report({"strong": family(0.9), "a very long name of a model of some family": family(0.1)}), ["f" * 200])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80 and "\x1b" not in out
    assert out.index("a very long") < out.index("strong")
    assert "0.500  0.250 to 0.750" in out and "benign: flagged" not in out


def test_a_single_family_needs_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    report(a_report({"only": family(0.5)}), [])
    assert "by model" not in capsys.readouterr().out


def test_small_shares_keep_their_digits_and_what_is_missing_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    section("s", {"small": Estimate(0.00012, 0.0, 0.5, 9), "none": Estimate(None, None, None, 0)})
    out = capsys.readouterr().out
    assert "0.00012  0.000 to 0.500" in out and "–" in out


def test_a_phase_without_a_threshold_is_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    found = Found(None, 73_447, 1_156, 60, 0.0008, 0.0012, 3000, "why")
    thresholds("judge", {"reasoning": found}, 0.001, "step")
    out = capsys.readouterr().out
    assert "–" in out and "60 of 73447" in out and max(map(len, out.splitlines())) <= 80
