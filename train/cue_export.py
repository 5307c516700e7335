"""From trained weights to the folder that a ``CueJudge`` loads: graph, int8, packing, card.

The weights are on a grid of few values a channel (``train.cue_learn``), then quantised to int8 by onnxruntime's tool.
The grid takes about half of the entropy away, which Huffman codes turn into a smaller file.
"""

import gzip
import hashlib
import json
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic

from midcourse.guard.verdict import LABELS
from midcourse.models.card import FILE, SCHEMA
from midcourse.train.cue_graph import graph_of
from midcourse.train.cue_net import Shape

MOST_BYTES = 30_000_000


class ExportError(ValueError):
    """The judge cannot be written as asked. The message says why, and what to change."""


def export(
    state: Mapping[str, torch.Tensor], shape: Shape, tokenizer: str, card: Mapping[str, Any], folder: Path
) -> int:
    """Write the folder.

    Args:
        state: of ``CueNet``.
        tokenizer: JSON of the pruned tokenizer.
        card: everything but schema, labels, shape and hashes, which are set here.

    Returns:
        Bytes of the folder.

    Raises:
        ExportError: it would be larger than ``MOST_BYTES``.
    """
    graph = graph_of({name: weight.detach().float().numpy() for name, weight in state.items()}, shape)
    files = {
        "model.onnx.gz": packed(quantised(graph)),
        "tokenizer.json.gz": gzip.compress(tokenizer.encode(), mtime=0),
    }
    size = sum(map(len, files.values()))
    if size > MOST_BYTES:
        raise ExportError(f"{size:,} bytes are more than {MOST_BYTES:,}: take fewer layers or a smaller vocabulary")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    whole = {
        "schema": SCHEMA,
        "labels": list(LABELS),
        "shape": {"layers": shape.layers, "heads": shape.memory_heads, "width": shape.head_width},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    text = json.dumps({**card, **whole}, indent=2, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")
    return size


def packed(content: bytes) -> bytes:
    """Compressed as gzip, by Huffman codes alone: weights hold no repetitions, and looking for them costs 4 MB."""
    huffman = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return huffman.compress(content) + huffman.flush()


def quantised(graph: ModelProto) -> bytes:
    """The graph with int8 weights, one scale a channel, and activations that are quantised as they come."""
    with tempfile.TemporaryDirectory() as folder:
        whole, small = Path(folder) / "whole.onnx", Path(folder) / "small.onnx"
        onnx.save(graph, whole)
        quantize_dynamic(
            whole,
            small,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=["head_matmul"],  # ten columns: nothing to gain
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
        )
        return small.read_bytes()
