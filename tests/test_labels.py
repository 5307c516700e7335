"""Label files: labels by id and characters, without text."""

import json
from pathlib import Path

import pytest

from midcourse.models.labels import Reading, own_labels, read_labels, relabelled, spans_of, write_labels
from midcourse.models.rows import DataError, Row, Span

READING = Reading("a", (Span(0, 5, "cue"), Span(5, 9, None)), "me")
ROW = Row("a", "", "Some text.", spans=(Span(0, 5, "neutral"), Span(5, 9, "safety")), where="d.jsonl:1")


def test_what_is_written_is_read_again_and_holds_no_text(tmp_path: Path) -> None:
    file = tmp_path / "l.jsonl"
    write_labels(file, [READING])
    assert read_labels(file) == {"a": READING}
    assert json.loads(file.read_text()) == {"id": "a", "spans": [[0, 5, "cue"], [5, 9, None]], "reader": "me"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"spans": []}', "l.jsonl:2: id: is None; expected the id of a trace"),
        ('{"id": "b", "reader": 1}', "l.jsonl:2: reader: is 1; expected a name"),
        ('{"id": "a"}', "l.jsonl:2: id: 'a' is there twice; keep one of the lines"),
        ('{"id": "b", "spans": [[0, 1, "x"]]}', "l.jsonl:2: spans.0.: label is 'x'"),
    ],
)
def test_a_wrong_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "l.jsonl"
    file.write_text('{"id": "a"}\n' + line)
    with pytest.raises(DataError, match=said):
        read_labels(file)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"l.jsonl: cannot write it: No such file"):
        write_labels(tmp_path / "none" / "l.jsonl", [READING])


def test_a_file_of_data_brings_its_own_labels() -> None:
    assert own_labels([ROW, Row("b", "", "Hm.")]) == {"a": Reading("a", ROW.spans, "the data")}


def test_a_correction_replaces_the_label_of_its_span_and_no_other() -> None:
    other = Row("b", "", "Hm.", spans=(Span(0, 3, "cue"),))
    corrections = {"a": Reading("a", (Span(5, 9, "cue"),)), "elsewhere": READING}
    corrected, same = relabelled([ROW, other], corrections)
    assert corrected.spans == (Span(0, 5, "neutral"), Span(5, 9, "cue")) and same == other


def test_labels_of_a_row_without_spans_are_those_of_its_sentences() -> None:
    row = Row("a", "", "One. Two. Three.", where="d.jsonl:1")
    cuts = spans_of(row)
    assert [row.reasoning[s:e] for s, e, _ in cuts] == ["One.", " Two.", " Three."]
    (labelled,) = relabelled([row], {"a": Reading("a", (Span(4, 9, "cue"),))})
    assert [label for *_, label in labelled.spans] == [None, "cue", None]
    with pytest.raises(DataError, match=r"spans: none is 0:3"):
        relabelled([row], {"a": Reading("a", (Span(0, 3, "cue"),))})


def test_a_correction_of_another_cut_is_an_error() -> None:
    with pytest.raises(DataError, match=r"d.jsonl:1: spans: none is 0:4, which the labels of 'a' correct; drop it"):
        relabelled([ROW], {"a": Reading("a", (Span(0, 4, "cue"),))})
