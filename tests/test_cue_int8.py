"""int8: what the tool and we make of a float graph, run by onnxruntime."""

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from midcourse.train.cue_graph import graph_of
from midcourse.train.cue_int8 import levels_of, quantised
from midcourse.train.cue_learn import put_on_grid
from midcourse.train.cue_net import Block, CueNet
from tests.tiny_judge import shape, tiny_net

Tables = dict[str, NDArray[np.float32]]


def on_grid(levels: int = 11) -> CueNet:
    net = tiny_net()
    for block in net.blocks:
        assert isinstance(block, Block)
        block.norm_1.data.fill_(1)
        block.norm_2.data.fill_(1)
    put_on_grid(net, levels)
    return net


def weights_of(net: CueNet) -> Tables:
    return {name: weight.detach().numpy() for name, weight in net.state_dict().items()}


def tables_of(content: bytes) -> Tables:
    graph = onnx.load_from_string(content).graph
    return {table.name: onnx.numpy_helper.to_array(table) for table in graph.initializer}


def scores(content: bytes, ids: list[int]) -> NDArray[np.float32]:
    """Of all tokens in one call, without a memory."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    layers, _, _, heads, width = session.get_inputs()[1].shape
    past = np.zeros((layers, 1, 0, heads, width), np.float32)
    fed = {"ids": np.array([ids]), "past": past, "past_len": np.zeros(1, np.int64)}
    found: NDArray[np.float32] = session.run(["scores"], fed)[0][0]
    return found


def test_the_matrices_of_the_layers_are_int8_and_the_heads_are_not() -> None:
    weights = weights_of(tiny_net())
    tables = tables_of(quantised(graph_of(weights, shape())))
    matrices = [name for name in tables if name.endswith("_quantized")]
    assert len(matrices) == 2 * 5  # qkv, out, gate, up, down
    assert {tables[name].dtype for name in matrices} == {np.dtype(np.int8)}
    assert tables["head"].dtype == np.float32
    assert tables["qkv_0_scale"].shape == (len(weights["blocks.0.qkv"]),)


def test_weights_on_a_grid_lose_nothing_and_are_the_numbers_of_its_steps() -> None:
    weights = weights_of(on_grid())
    tables = tables_of(quantised(graph_of(weights, shape())))
    found = tables["out_0_quantized"].astype(np.float32) * tables["out_0_scale"]
    np.testing.assert_allclose(found, weights["blocks.0.out"].T, rtol=1e-5, atol=1e-7)
    assert np.abs(tables["out_0_quantized"].astype(int)).max() == 11


@pytest.mark.parametrize(
    ("places", "steps"),
    [
        ([-127, -64, 0, 64, 127], 2),
        ([-127, 0, 127], 1),
        ([-127, -58, 12, 127], 11),  # not every step is taken
        ([0, 64, 126], None),  # not even
        (list(range(-127, 128)), None),  # on no grid
        ([0, 0], None),
    ],
)
def test_a_grid_is_known_by_its_few_even_steps(places: list[int], steps: int | None) -> None:
    assert levels_of(np.array(places, np.int8)) == steps


def test_int8_says_nearly_what_the_float_graph_says() -> None:
    graph = graph_of(weights_of(on_grid()), shape())
    ids = [1, 5, 9, 3, 7, 2]
    exact, rounded = scores(graph.SerializeToString(), ids), scores(quantised(graph), ids)
    assert np.abs(exact - rounded).max() < 0.05 * np.abs(exact).max() + 0.02


def test_what_is_read_in_the_same_call_does_not_change_a_token() -> None:
    content = quantised(graph_of(weights_of(on_grid()), shape()))
    ids = [1, 5, 9, 3, 7, 2, 8, 4]
    whole = scores(content, ids)
    for upto in range(1, len(ids)):
        np.testing.assert_allclose(scores(content, ids[:upto]), whole[:upto], rtol=1e-4, atol=1e-5)


def test_no_scale_is_measured_and_each_product_is_one_operator() -> None:
    kinds = [
        node.op_type for node in onnx.load_from_string(quantised(graph_of(weights_of(tiny_net()), shape()))).graph.node
    ]
    assert not {"DynamicQuantizeLinear", "MatMulInteger"} & set(kinds)
    assert kinds.count("MatMulIntegerToFloat") == 2 * 5
