"""Export: a folder that a judge loads, with the hashes of its files, not larger than it may be."""

import gzip
import hashlib
import json
from pathlib import Path

import onnx
import pytest
import torch

from midcourse.guard.verdict import LABELS, Query
from midcourse.models.card import FILE, SCHEMA
from midcourse.models.cue import CueJudge
from midcourse.train.cue_export import ExportError, export
from tests.tiny_judge import build, card, tiny_net, tokenizer


def test_the_folder_holds_the_card_and_the_files_that_it_names(tmp_path: Path) -> None:
    net = tiny_net()
    size = export(net.state_dict(), net.shape, tokenizer().to_str(), card(license="MIT"), tmp_path / "deep" / "judge")
    folder = tmp_path / "deep" / "judge"
    written = json.loads((folder / FILE).read_text(encoding="utf-8"))
    assert {file.name for file in folder.iterdir()} == {FILE, *written["files"]}
    assert size == sum((folder / name).stat().st_size for name in written["files"])
    for name, wanted in written["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == wanted
    assert (written["schema"], written["labels"], written["license"]) == (SCHEMA, list(LABELS), "MIT")
    assert written["shape"] == {"lower": 1, "upper": 1, "heads": 2, "width": 8, "hidden": 32}


def test_what_is_set_here_cannot_be_set_by_the_caller(tmp_path: Path) -> None:
    build(tmp_path, schema=9, labels=["x"], files={}, shape={})
    assert json.loads((tmp_path / FILE).read_text())["schema"] == SCHEMA
    assert CueJudge(tmp_path).judge([Query("Hi", "", "So.", "reasoning", 0)])[0].prompt_risk is not None


def test_the_same_weights_are_the_same_files(tmp_path: Path) -> None:
    one, other = (json.loads((build(tmp_path / name) / FILE).read_text()) for name in ("a", "b"))
    assert one["files"] == other["files"]


def test_an_export_over_an_older_one_replaces_it(tmp_path: Path) -> None:
    build(tmp_path, seed=0)
    build(tmp_path, seed=1, name="tiny-2")
    assert CueJudge(tmp_path).name == "tiny-2"


def test_what_is_too_large_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    net = tiny_net()
    with pytest.raises(ExportError, match=r"^[\d,]+ bytes are more than 9,000: take fewer layers or a smaller"):
        export(net.state_dict(), net.shape, tokenizer().to_str(), card(), tmp_path / "judge", most=9_000)
    assert not (tmp_path / "judge").exists()


def test_half_precision_weights_are_exported_as_well(tmp_path: Path) -> None:
    net = tiny_net()
    state = {name: weight.to(torch.bfloat16) for name, weight in net.state_dict().items()}
    export(state, net.shape, tokenizer().to_str(), card(), tmp_path)
    assert CueJudge(tmp_path).judge([Query("Hi", "", "So.", "reasoning", 0)])[0].prompt_risk is not None


PARTS = ("lower.onnx.gz", "upper.onnx.gz")


@pytest.mark.parametrize("part", PARTS)
def test_the_graphs_are_packed_as_plain_gzip(tmp_path: Path, part: str) -> None:
    content = (build(tmp_path) / part).read_bytes()
    assert onnx.load_from_string(gzip.decompress(content)).graph.name == "cue"


@pytest.mark.parametrize("part", PARTS)
def test_no_matrix_is_widened_to_float32_when_the_judge_reads(tmp_path: Path, part: str) -> None:
    graph = onnx.load_from_string(gzip.decompress((build(tmp_path) / part).read_bytes())).graph
    assert "DequantizeLinear" not in {node.op_type for node in graph.node}
    floats = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    assert not floats & {t.name.removesuffix("_quantized") for t in graph.initializer if t.name.endswith("_quantized")}
