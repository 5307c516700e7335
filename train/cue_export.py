"""From trained weights to the folder that a ``CueJudge`` loads: graph, int8, packing, card.

The weights are on a grid of few values a channel (``train.cue_learn``), which takes about half of the entropy away:
Huffman codes turn that into a smaller file.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from midcourse.guard.verdict import LABELS
from midcourse.models.card import FILE, SCHEMA
from midcourse.train.cue_graph import graph_of
from midcourse.train.cue_int8 import quantised
from midcourse.train.cue_net import CueNet, Shape

MOST_BYTES = 30_000_000


class ExportError(ValueError):
    """The judge cannot be written as asked. The message says why, and what to change."""


def export(
    state: Mapping[str, torch.Tensor],
    shape: Shape,
    tokenizer: str,
    card: Mapping[str, Any],
    folder: Path,
    *,
    most: int = MOST_BYTES,
) -> int:
    """Write the folder.

    Args:
        state: of ``CueNet``.
        tokenizer: JSON of the pruned tokenizer.
        card: everything but schema, labels, shape and hashes, which are set here.

    Returns:
        Bytes of the folder.

    Raises:
        ExportError: it would be larger than ``most`` bytes.
    """
    weights = {name: weight.detach().float().numpy() for name, weight in state.items()}
    apart, below, above = outliers_of(state, shape), range(shape.exit), range(shape.exit, shape.layers)
    files = {
        "lower.onnx.gz": packed(quantised(graph_of(weights, shape, apart, below))),
        "upper.onnx.gz": packed(quantised(graph_of(weights, shape, apart, above))),
        "tokenizer.json.gz": gzip.compress(tokenizer.encode(), mtime=0),
    }
    size = sum(map(len, files.values()))
    if size > most:
        raise ExportError(f"{size:,} bytes are more than {most:,}: take fewer layers or a smaller vocabulary")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    whole = {
        "schema": SCHEMA,
        "labels": list(LABELS),
        "shape": {
            "lower": shape.exit,
            "upper": shape.layers - shape.exit,
            "heads": shape.memory_heads,
            "width": shape.head_width,
            "hidden": shape.width,
        },
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    text = json.dumps({**card, **whole}, indent=2, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")
    return size


def packed(content: bytes) -> bytes:
    """Compressed as gzip, by Huffman codes alone: weights hold no repetitions, and looking for them costs 4 MB."""
    huffman = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)
    return huffman.compress(content) + huffman.flush()


@torch.no_grad()
def outliers_of(state: Mapping[str, torch.Tensor], shape: Shape, *, channels: int = 4, tokens: int = 512) -> list[int]:
    """The channels that are largest after the norms, over all layers, on random tokens."""
    net = CueNet(shape)
    net.load_state_dict(state)
    draw = torch.Generator().manual_seed(0)
    x = net.embedding(torch.randint(shape.vocabulary, (1, tokens), generator=draw))
    sizes = torch.zeros(shape.width)
    for n in range(shape.layers):
        x = net.layer(x, n)
        sizes += functional.rms_norm(x, (shape.width,))[0, 4:].abs().mean(0)
    return sorted(sizes.topk(min(channels, shape.width)).indices.tolist())
