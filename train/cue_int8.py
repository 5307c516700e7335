"""A graph of ``train.cue_graph`` with int8 matrices: by onnxruntime's tool, and then made exact.

The tool measures the activations' range as they come, and a range depends on what else is read in the same call. Ours
are scaled by token before (``cue_graph._times``), so their range is known: with it as a constant, a token is rounded in
the same way whether it is read alone, with its step, or with everything before it. Knows graphs, and no judge.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from midcourse.train.cue_graph import ROWS

SCALE, ZERO = "activation_scale", "activation_zero"
OWN = "com.microsoft"
MOST = 127


def quantised(graph: ModelProto) -> bytes:
    """The graph with int8 weights, one scale a channel, and activations of -1 to 1 as uint8."""
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
            extra_options={"DefaultTensorType": TensorProto.FLOAT, "MatMulConstBOnly": True},
        )
        model = onnx.load(small)
    constants = {each.name: each for each in model.graph.initializer}
    nodes = _fixed(_rows_of_int8(model.graph.node), constants)
    used = {name for node in nodes for name in node.input}
    _on_levels(constants)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(each for name, each in constants.items() if name in used)
    if all(each.domain != OWN for each in model.opset_import):
        model.opset_import.append(helper.make_opsetid(OWN, 1))
    content: bytes = model.SerializeToString()
    return content


def levels_of(places: NDArray[np.int8]) -> int | None:
    """On how many steps either side of zero the places of a matrix lie, where they are few and even."""
    seen = np.unique(places)
    for steps in range(1, MOST // 2) if seen.any() else ():
        if np.array_equal(np.rint(np.rint(seen * (steps / MOST)) * (MOST / steps)), seen):
            return steps
    return None


def _on_levels(constants: dict[str, TensorProto]) -> None:
    """Matrices on a grid by the numbers of its steps: without a rounding, and too small to overflow.

    Two products of a byte and an int8 of 127 are more than the 16 bits that processors without VNNI add them in.
    """
    for name in [each for each in constants if each.endswith("_quantized")]:
        places, scale = (f"{name.removesuffix('_quantized')}{part}" for part in ("_quantized", "_scale"))
        matrix = numpy_helper.to_array(constants[places])
        if steps := levels_of(matrix):
            numbers = np.rint(matrix * (steps / MOST)).astype(np.int8)
            constants[places] = numpy_helper.from_array(numbers, places)
            wider = numpy_helper.to_array(constants[scale]) * np.float32(MOST / steps)
            constants[scale] = numpy_helper.from_array(wider.astype(np.float32), scale)


def _rows_of_int8(nodes: Iterable[NodeProto]) -> list[NodeProto]:
    """Rows that go by themselves are taken from the int8 matrix, so that no matrix is kept twice."""
    found = []
    unused = set()
    for node in nodes:
        if not node.name.endswith(ROWS):
            found.append(node)
            continue
        name, places = node.input
        taken, row, scale = (f"{node.name}:{part}" for part in ("taken", "row", "scaled"))
        found += [
            helper.make_node("Gather", [f"{name}_quantized", places], [taken], name=taken, axis=0),
            helper.make_node("Cast", [taken], [row], name=row, to=TensorProto.FLOAT),
            helper.make_node("Mul", [row, f"{name}_scale"], list(node.output), name=scale),
        ]
        unused.add(name)
    # The tool lays a whole float matrix beside the int8 one for whoever takes rows; nobody does any more.
    return [node for node in found if not unused.intersection(node.output)]


def _fixed(nodes: list[NodeProto], constants: dict[str, TensorProto]) -> list[NodeProto]:
    """The products with a constant scale of the activations, each as one operator of onnxruntime.

    What the tool wrote, ``DynamicQuantizeLinear, MatMulInteger, Cast, Mul (of both scales), Mul``, onnxruntime would
    fuse only with a scale that is measured.
    """
    constants[SCALE] = numpy_helper.from_array(np.array(1 / MOST, np.float32), SCALE)
    constants[ZERO] = numpy_helper.from_array(np.array(128, np.uint8), ZERO)
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    makers = {name: node for node in nodes for name in node.output}
    found: list[NodeProto] = []
    gone: set[str] = set()
    for node in nodes:
        if node.op_type == "DynamicQuantizeLinear":
            inputs = [node.input[0], SCALE, ZERO]
            found.append(helper.make_node("QuantizeLinear", inputs, [node.output[0]], name=node.name))
        elif node.op_type == "MatMulInteger":
            product, absorbed = _product(node, readers, makers)
            found.append(product)
            gone |= absorbed
        else:
            found.append(node)
    return [node for node in found if node.name not in gone]


def _product(
    node: NodeProto, readers: Mapping[str, list[NodeProto]], makers: Mapping[str, NodeProto]
) -> tuple[NodeProto, set[str]]:
    """One operator for a product of integers and what makes numbers of it, and the names of the nodes that go."""
    bytes_, matrix, _, zero = node.input
    (cast,) = readers[node.output[0]]
    (scaled,) = readers[cast.output[0]]
    scales = makers[next(name for name in scaled.input if name != cast.output[0])]
    inputs = [bytes_, matrix, SCALE, f"{matrix.removesuffix('_quantized')}_scale", ZERO, zero]
    made = helper.make_node("MatMulIntegerToFloat", inputs, list(scaled.output), name=node.name, domain=OWN)
    return made, {cast.name, scaled.name, scales.name}
