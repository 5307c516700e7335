"""What is measured of a judge, on rows whose numbers can be counted by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from midcourse.models.evaluate import NEVER, Measured, Report, Section, measure, ranked, report
from midcourse.models.rows import DataError, read
from tests.marked import MarkedJudge, row, write


def measured(tmp_path: Path, data: list[dict[str, Any]], benign: list[dict[str, Any]] | None = None) -> Measured:
    innocent = read(write(tmp_path / "benign.jsonl", *benign)) if benign else []
    return measure(MarkedJudge(), read(write(tmp_path / "data.jsonl", *data)) if data else [], innocent)


def reported(tmp_path: Path, data: list[dict[str, Any]], benign: list[dict[str, Any]] | None = None) -> Report:
    return report(measured(tmp_path, data, benign), 0.5, resamples=50)


def values(section: Section | None) -> dict[str, tuple[float | None, int]]:
    assert section is not None
    return {name: (estimate.value, estimate.n) for name, estimate in section.items()}


LABELLED = [
    row("a", ("neutral 1", "neutral"), ("cue 0.9", "cue"), ("safety 0.8", "safety"), ("harmful 0.4", "harmful")),
    row("b", ("cue 0.6", "neutral"), ("cue 0.2", "safety"), ("cue 0.7", None)),
]


def test_sentences_are_counted_where_they_have_a_label(tmp_path: Path) -> None:
    found = values(reported(tmp_path, LABELLED).sentence)
    assert found["precision"] == (0.5, 2) and found["recall"] == (0.5, 2) and found["f1"] == (0.5, 6)
    assert found["safety_recall"] == (0.5, 2)
    assert found["auroc"] == (7 / 8, 6)  # 0.4 lies below one of four negatives
    assert found["average_precision"] == ((1 + 2 / 3) / 2, 6)


def test_false_positives_are_counted_in_benign_files_as_well(tmp_path: Path) -> None:
    benign = [row(f"ok{n}", *["neutral 1"] * 50) for n in range(4)]  # 200 + 4 negatives: 1 % allows two
    assert values(reported(tmp_path, LABELLED).sentence)["recall_at_fpr_0.01"] == (0.5, 2)
    found = values(reported(tmp_path, LABELLED, benign).sentence)
    assert found["recall_at_fpr_0.01"] == (1.0, 2) and found["recall_at_fpr_0.001"] == (0.5, 2)
    assert found["f1"] == (0.5, 6)


def turning(flag: int, turn: int, **more: Any) -> dict[str, Any]:
    """Ten sentences, of which one is flagged and one is the first cue."""
    steps = [(f"cue {0.9 if n == flag else 0.1}", "cue" if n == turn else "neutral") for n in range(10)]
    return row(f"{flag}-{turn}-{more}", *steps, **more)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [(3, (1, 1, 1, 1)), (4, (1, 1, 1, 0)), (5, (0, 1, 1, 0)), (6, (0, 0, 1, 0)), (7, (0, 0, 0, 0)), (99, (0, 0, 0, 0))],
)
def test_detection_counts_sentences_from_the_first_cue(flag: int, expected: tuple[int, ...], tmp_path: Path) -> None:
    found = values(reported(tmp_path, [turning(flag, 4)]).trace)
    assert tuple(found[name][0] for name in ("det@0", "det@1", "det@2", "early")) == expected


def test_a_harmful_sentence_turns_a_trace_as_a_cue_does(tmp_path: Path) -> None:
    scored = measured(tmp_path, [row("a", ("neutral 1", "safety"), ("cue 1", "harmful"))]).data
    assert [trace.turn() for trace in scored] == [1]


def test_a_flag_on_a_span_that_is_not_scored_counts_for_nothing(tmp_path: Path) -> None:
    (trace,) = measured(tmp_path, [row("a", ("cue 1", None), ("neutral 1", "cue"))]).data
    assert trace.flag(0.5) == NEVER and trace.turn() == 1
    found = reported(tmp_path, [row("a", ("cue 1", None), ("neutral 1", "safety"))])
    assert values(found.safe) == {"traces": (0.0, 1)} and found.trace is None


def test_a_weak_family_shows(tmp_path: Path) -> None:
    data = [turning(4, 4, model="strong"), turning(3, 4, model="strong"), turning(9, 4, model="weak")]
    found = reported(tmp_path, [*data, row("x", ("neutral 1", "neutral"), model="quiet")])
    assert {model: values(section)["det@2"] for model, section in found.groups.items()} == {
        "strong": (1.0, 2),
        "weak": (0.0, 1),
    }


def test_labelled_traces_without_a_cue_are_safe_traces(tmp_path: Path) -> None:
    found = reported(tmp_path, LABELLED)
    assert values(found.safe) == {"traces": (1.0, 1)}
    assert values(found.trace)["det@0"] == (1.0, 1)


def test_traces_without_labels_are_reported_by_how_early_they_are_flagged(tmp_path: Path) -> None:
    data = [row(f"u{flag}", *(f"cue {0.9 if n == flag else 0.1}" for n in range(12))) for flag in (2, 4, 9, 11, 99)]
    found = reported(tmp_path, data)
    assert values(found.flagged_within) == {"3": (0.2, 5), "5": (0.4, 5), "10": (0.6, 5), "all": (0.8, 5)}
    assert found.sentence is None and found.trace is None and found.safe is None and found.benign is None


def test_spans_that_nobody_labelled_are_no_labels(tmp_path: Path) -> None:
    data = [row("a", ("neutral 1", None), ("cue 0.9", None)), row("b", ("neutral 1", None))]
    found = reported(tmp_path, data, [row("c", ("cue 0.9", None))])
    assert values(found.flagged_within) == {"3": (0.5, 2), "5": (0.5, 2), "10": (0.5, 2), "all": (0.5, 2)}
    assert found.safe is None and values(found.benign) == {"traces": (1.0, 1), "sentences": (1.0, 1)}


@pytest.mark.parametrize(("requests", "whole"), [(2, True), (60, False)])
def test_traces_of_one_request_are_drawn_together(requests: int, whole: bool, tmp_path: Path) -> None:
    data = [row(str(n), f"cue {0.9 * (n % 2)}", prompt=f"Request {n % requests}?") for n in range(60)]
    section = reported(tmp_path, data).flagged_within
    assert section is not None and section["all"].n == 60
    assert (section["all"][1:3] == (0.0, 1.0)) == whole  # of two requests, one is drawn twice in half of the draws


def test_benign_traces_and_sentences_that_are_flagged_are_counted(tmp_path: Path) -> None:
    benign = [row("a", "cue 0.9", "cue 0.5", "cue 0.4"), row("b", ("neutral 1", "neutral"))]
    found = reported(tmp_path, [], benign)
    assert values(found.benign) == {"traces": (0.5, 2), "sentences": (0.5, 4)}
    assert found.sentence is None and found.flagged_within is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"benign": False}, "benign: is false; give such a file with --data"),
        ({"benign": None}, "benign: is null; give such a file with --data"),
        ({"spans": [[0, 4, "cue"]]}, "spans: cue at 0 in a benign trace"),
    ],
)
def test_a_row_that_is_not_benign_is_no_benign_row(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"benign.jsonl:1: " + said):
        measured(tmp_path, [], [row("a", "neutral 1", **change)])


def test_a_report_is_plain_json_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    scored = measured(tmp_path, [*LABELLED, turning(4, 4)], [row("ok", "neutral 1")])
    first, second = (json.dumps(report(scored, 0.5).plain(), allow_nan=False) for _ in range(2))
    assert first == second
    found = json.loads(first)
    assert set(found) == {
        *("judge", "threshold", "sentence", "trace", "safe", "flagged_within", "benign", "latency_ms", "groups")
    }
    assert found["flagged_within"] is None and set(found["latency_ms"]) == {"p50", "p95"}
    for estimate in (*found["sentence"].values(), *found["trace"].values(), *found["latency_ms"].values()):
        assert set(estimate) == {"value", "low", "high", "n"}
        assert estimate["value"] is None or estimate["low"] <= estimate["high"]


def test_what_has_no_case_has_no_value(tmp_path: Path) -> None:
    found = values(reported(tmp_path, [row("a", ("neutral 1", "neutral"))]).sentence)
    assert {name: value for name, (value, _) in found.items()} == dict.fromkeys(found)
    assert found["precision"] == (None, 0) and found["safety_recall"] == (None, 0)


def test_curves_of_no_traces_are_empty() -> None:
    assert ranked([]).trace.size == 0
