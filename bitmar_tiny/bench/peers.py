# SPDX-License-Identifier: Apache-2.0
"""What one would use instead of our ternary products: PyTorch, ONNX Runtime and LiteRT, one thread each.

A library pays for every call into it. So that it does not have to, a peer computes ``STACK`` independent
products of one input in a single call where matrices are small, and the time is divided: its figure is the
most favourable one. Every peer's result is checked against the exact product before it is timed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import numpy as np

from ..extras import EXTRAS, install, installed

#: Products per call for matrices of less than this many weights.
STACK, SMALL = 16, 1 << 20
#: Largest error of a quantised peer, as a fraction of the largest output.
TOLERANCE = 0.03

#: (call, result of one call: the first product, float [n])
Prepared = tuple[Callable[[], object], Callable[[], np.ndarray]]


class PeerMissing(Exception):
    """A library that is not installed, or cannot do this."""


@dataclass(frozen=True)
class Peer:
    """One library and number format. ``prepare(weights int8 [s, n, k], x int8 [k])`` builds its best form."""

    name: str
    package: str
    bits: float
    prepare: Callable[[np.ndarray, np.ndarray], Prepared]
    module: str = ""  # where its name is not the package's

    def product(self, trits: np.ndarray, stacked: bool = True) -> tuple[Callable[[], object], int]:
        """(call, products per call) for trits int8 [n, k]; not ``stacked``: one product per call, as it is
        usually used. Raises ``PeerMissing``, also for a wrong result.
        """
        module = self.module or self.package.replace("-", "_")
        if not installed(module):
            fix = install(module) if module in EXTRAS else f"pip install {self.package}"
            raise PeerMissing(f"{self.package} is not installed ({fix})")
        count = STACK if stacked and trits.size < SMALL else 1
        rng = np.random.default_rng(1)
        stack = np.stack(
            [trits, *(rng.integers(-1, 2, trits.shape).astype(np.int8) for _ in range(count - 1))]
        )
        x = rng.integers(-127, 128, trits.shape[1]).astype(np.int8)
        x[0] = 127  # so that a dynamic quantiser's scale is 1, or close to it
        try:
            call, result = self.prepare(stack, x)
            got = np.asarray(result(), np.float64).ravel()
        except PeerMissing:
            raise
        except Exception as error:  # a library's own complaint is the reason why it is left out
            raise PeerMissing(
                f"{self.package} {metadata.version(self.package)}: {str(error).splitlines()[0][:100]}"
            ) from None
        want = trits.astype(np.float64) @ x
        if np.abs(got - want).max() > TOLERANCE * np.abs(want).max():
            raise PeerMissing(f"{self.package} {metadata.version(self.package)} gave a wrong product")
        return call, count


# -- PyTorch --------------------------------------------------------------------------------------


def _torch_float(w: np.ndarray, x: np.ndarray) -> Prepared:
    import torch

    torch.set_num_threads(1)
    weights = torch.from_numpy(w).float()
    v = torch.from_numpy(x).float()
    if len(w) == 1:
        matrix = weights[0]
        return (lambda: torch.mv(matrix, v)), (lambda: torch.mv(matrix, v).numpy())
    column = v[None, :, None].expand(len(w), -1, 1).contiguous()
    return (lambda: torch.bmm(weights, column)), (lambda: torch.bmm(weights, column)[0, :, 0].numpy())


def _torch_int8(w: np.ndarray, x: np.ndarray) -> Prepared:
    import torch

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, but still what quantised modules call
        packed = [
            torch.ops.quantized.linear_prepack(
                torch.quantize_per_tensor(torch.from_numpy(m).float(), 1.0, 0, torch.qint8), None
            )
            for m in w
        ]
    v = torch.from_numpy(x).float()[None]

    def call():
        for p in packed:
            y = torch.ops.quantized.linear_dynamic(v, p)
        return y

    return call, lambda: torch.ops.quantized.linear_dynamic(v, packed[0])[0].numpy()


# -- ONNX Runtime ---------------------------------------------------------------------------------


def _session(nodes: list, constants: dict[str, np.ndarray], shape: tuple[int, int], opset: int = 21):
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "gemv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, shape[1]])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, shape[0]]),
            helper.make_tensor_value_info("first", TensorProto.FLOAT, [1, shape[0]]),
        ],
        [numpy_helper.from_array(a, n) for n, a in constants.items()],
    )
    model = helper.make_model(
        graph,
        ir_version=10,
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)],
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(
        onnx.ModelProto.SerializeToString(model), options, providers=["CPUExecutionProvider"]
    )


def _ort(
    w: np.ndarray,
    x: np.ndarray,
    product: Callable,
    constants: dict[str, np.ndarray],
    head: list,
    tail: Callable,
) -> Prepared:
    """A graph of one product per matrix; all but the first are added up, which costs n additions each."""
    from onnx import helper

    nodes, total = list(head), None
    for i in range(len(w)):
        nodes += product(i)
        name = f"p{i}"
        if total is not None:
            nodes.append(helper.make_node("Add", [total, name], [f"t{i}"]))
        total = name if total is None else f"t{i}"
    nodes += tail(total, "y") + tail("p0", "first")
    session = _session(nodes, constants, w.shape[1:])
    feed = {"x": x.astype(np.float32)[None]}
    return (lambda: session.run(["y"], feed)), (lambda: session.run(["first"], feed)[0][0])


def _identity(source: str, target: str) -> list:
    from onnx import helper

    return [helper.make_node("Identity", [source], [target])]


def _ort_float(w: np.ndarray, x: np.ndarray) -> Prepared:
    from onnx import helper

    return _ort(
        w,
        x,
        lambda i: [helper.make_node("MatMul", ["x", f"w{i}"], [f"p{i}"])],
        {f"w{i}": m.T.astype(np.float32) for i, m in enumerate(w)},
        [],
        _identity,
    )


def _ort_int8(w: np.ndarray, x: np.ndarray) -> Prepared:
    from onnx import TensorProto, helper

    def tail(source: str, target: str) -> list:
        return [
            helper.make_node("Cast", [source], [f"{target}_f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{target}_f", "scale"], [target]),
        ]

    return _ort(
        w,
        x,
        lambda i: [helper.make_node("MatMulInteger", ["q", f"w{i}", "zero"], [f"p{i}"])],
        {f"w{i}": np.ascontiguousarray(m.T) for i, m in enumerate(w)},
        [helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"])],
        tail,
    )


def _ort_nbits(bits: int) -> Callable[[np.ndarray, np.ndarray], Prepared]:
    def prepare(w: np.ndarray, x: np.ndarray) -> Prepared:
        from onnx import helper

        n, k = w.shape[1:]
        block = min(128, k)
        blocks, per_byte, middle = k // block, 8 // bits, 1 << (bits - 1)
        codes = (
            (w.astype(np.int16) + middle)
            .astype(np.uint8)
            .reshape(len(w), n, blocks, block // per_byte, per_byte)
        )
        packed = sum(codes[..., j] << (bits * j) for j in range(per_byte)).astype(np.uint8)
        constants = {f"w{i}": m for i, m in enumerate(packed)} | {"s": np.ones((n, blocks), np.float32)}

        def node(i):
            return [
                helper.make_node(
                    "MatMulNBits",
                    ["x", f"w{i}", "s"],
                    [f"p{i}"],
                    domain="com.microsoft",
                    K=k,
                    N=n,
                    bits=bits,
                    block_size=block,
                    accuracy_level=4,
                )
            ]

        return _ort(w, x, node, constants, [], _identity)

    return prepare


# -- LiteRT ---------------------------------------------------------------------------------------


def _litert_int8(w: np.ndarray, x: np.ndarray) -> Prepared:
    from ai_edge_litert.interpreter import Interpreter

    from .tflite_file import fully_connected_model

    largest = float(np.abs(w[0].astype(np.float64) @ x).max())
    interpreter = Interpreter(model_content=fully_connected_model(w, largest / 120), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x[None])
    first = interpreter.get_output_details()[0]

    def result() -> np.ndarray:
        interpreter.invoke()
        return interpreter.get_tensor(first["index"])[0].astype(np.float64) * first["quantization"][0]

    return interpreter.invoke, result


# -- llama.cpp ------------------------------------------------------------------------------------


def _llama(w: np.ndarray, x: np.ndarray) -> Prepared:
    raise PeerMissing(
        "llama-cpp-python is installed, but offers no single product; its ternary formats need K = 256 n"
    )


PEERS = (
    Peer("PyTorch float32", "torch", 32, _torch_float),
    Peer("PyTorch int8 (dynamic)", "torch", 8, _torch_int8),
    Peer("ONNX Runtime float32", "onnxruntime", 32, _ort_float),
    Peer("ONNX Runtime int8", "onnxruntime", 8, _ort_int8),
    Peer("ONNX Runtime 4 bit", "onnxruntime", 4, _ort_nbits(4)),
    Peer("ONNX Runtime 2 bit", "onnxruntime", 2, _ort_nbits(2)),
    Peer("LiteRT int8 (XNNPACK)", "ai-edge-litert", 8, _litert_int8),
    Peer("llama.cpp TQ2_0", "llama-cpp-python", 2.06, _llama, "llama_cpp"),
)
