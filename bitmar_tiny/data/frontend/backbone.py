# SPDX-License-Identifier: Apache-2.0
"""A backbone file in its runtime: .tflite in LiteRT, .onnx in ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .vectors import FrontEndError

#: Why and how tflite-runtime fails: its wheels are built for numpy 1, but do not say so.
TFLITE_RUNTIME_HINT = "Run: pip install 'numpy<2', or: pip install ai-edge-litert"


@dataclass(frozen=True)
class Tensor:
    """A port: name, shape (None where any extent goes), NumPy type, (scale, zero point) or None."""

    name: str
    shape: tuple[int | None, ...]
    dtype: np.dtype
    quantised: tuple[float, int] | None


class Model:
    """A backbone file, loaded. ``run`` takes float32 [size, size, 3], scaled, and gives [tokens, width]
    float32 for each output.

    size None: what the file says. outputs empty: its only one. ``FrontEndError`` for anything that cannot be
    used.
    """

    def __init__(
        self, path: Path | str, size: int | None = None, outputs: Sequence[str] = (), threads: int = 0
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FrontEndError(
                f"{path}: there is no such file.", "Give the path of a .tflite or .onnx file."
            )
        kinds = {".tflite": _Tflite, ".onnx": _Onnx}
        if self.path.suffix.lower() not in kinds:
            raise FrontEndError(
                f"{path}: neither a .tflite nor an .onnx file.", "Give a backbone in one of these formats."
            )
        self.runtime = kinds[self.path.suffix.lower()](self.path, threads or os.cpu_count() or 1)
        self.channels_first, self.size = self._input(size)
        self.runtime.resize(
            (1, 3, self.size, self.size) if self.channels_first else (1, self.size, self.size, 3)
        )
        known = [t.name for t in self.runtime.outputs]
        for name in outputs:
            if name not in known:
                raise FrontEndError(f"{path}: has no output '{name}'.", f"It has: {', '.join(known[:8])}.")
        if not outputs and len(known) != 1:
            raise FrontEndError(
                f"{path}: has {len(known)} outputs.", f"Choose with --blocks from: {', '.join(known[:8])}."
            )
        self.outputs = tuple(outputs) or tuple(known)
        self.chosen = [self.runtime.outputs[known.index(name)] for name in self.outputs]
        for t in (self.runtime.input, *self.chosen):
            pixels = t is self.runtime.input and t.dtype == np.uint8
            if not (t.dtype.kind == "f" or t.quantised or pixels):
                raise FrontEndError(
                    f"{path}: '{t.name}' is {t.dtype.name} without a scale.",
                    "Export it with float inputs and outputs, or as .tflite.",
                )

    def _input(self, size: int | None) -> tuple[bool, int]:
        shape, where = self.runtime.input.shape, f"{self.path}: takes {_show(self.runtime.input.shape)}"
        if len(shape) != 4 or 3 not in (shape[1], shape[3]) or shape[0] not in (1, None):
            raise FrontEndError(
                f"{where}, not one picture [1, side, side, 3] or [1, 3, side, side].",
                "Give an image backbone.",
            )
        first = shape[1] == 3 and shape[3] != 3
        sides = {s for s in (shape[2:] if first else shape[1:3]) if s is not None}
        if len(sides) > 1 or size and sides - {size}:
            raise FrontEndError(
                f"{where}, not square pictures of side {size or max(sides)}.",
                "Choose the size that the model was exported for.",
            )
        if not sides and not size:
            raise FrontEndError(f"{where}: pictures of any size.", "Choose one with --size.")
        return first, size or sides.pop()

    def run(self, picture: np.ndarray) -> list[np.ndarray]:
        x = picture.transpose(2, 0, 1) if self.channels_first else picture
        t = self.runtime.input
        if t.dtype.kind != "f":  # without a scale: the pixels themselves, so mean 0 and deviation 1/255
            scale, zero = t.quantised or (1.0, 0)
            limits = np.iinfo(t.dtype)
            x = np.clip(np.rint(x.astype(np.float64) / scale) + zero, limits.min, limits.max)
        results = self.runtime.run(np.ascontiguousarray(x[None], t.dtype), self.chosen)
        return [self._tokens(out, t) for out, t in zip(results, self.chosen)]

    def _tokens(self, out: np.ndarray, t: Tensor) -> np.ndarray:
        if t.quantised and out.dtype.kind != "f":
            out = (out.astype(np.float64) - t.quantised[1]) * t.quantised[0]
        if out.ndim == 4:  # a square map; where every extent is the same, laid out as the input is
            first, last = out.shape[2] == out.shape[3], out.shape[1] == out.shape[2]
            out = out.transpose(0, 2, 3, 1) if first and (not last or self.channels_first) else out
        square = out.ndim in (2, 3) or out.ndim == 4 and out.shape[1] == out.shape[2]
        if not square or out.shape[0] != 1 or out.size == 0:
            raise FrontEndError(
                f"{self.path}: '{t.name}' gives {list(out.shape)}; vectors are [1, width], [1, tokens, "
                "width] or a square map.",
                "Choose another output with --blocks.",
            )
        return out.reshape(-1, out.shape[-1]).astype(np.float32)


class _Tflite:
    """A .tflite file in LiteRT, or in tflite-runtime where that is what the board has."""

    def __init__(self, path: Path, threads: int) -> None:
        self.interpreter = tflite_interpreter(path, threads)
        inputs = self.interpreter.get_input_details()
        if len(inputs) != 1:
            raise FrontEndError(
                f"{path}: has {len(inputs)} inputs, a backbone has one.", "Give an image backbone."
            )
        self.path, self.input, self.index = path, _tensor(inputs[0]), inputs[0]["index"]
        self.details = self.interpreter.get_output_details()
        self.outputs = [_tensor(d) for d in self.details]

    def resize(self, shape: tuple[int, ...]) -> None:
        try:
            if None in self.input.shape:
                self.interpreter.resize_tensor_input(self.index, shape, strict=False)
            self.interpreter.allocate_tensors()
        except (RuntimeError, ValueError, MemoryError) as error:
            raise FrontEndError(
                f"{self.path}: cannot be prepared for pictures {list(shape)} ({why(error)}).",
                "The file is damaged, or needs another runtime.",
            ) from None

    def run(self, x: np.ndarray, chosen: list[Tensor]) -> list[np.ndarray]:
        try:
            self.interpreter.set_tensor(self.index, x)
            self.interpreter.invoke()
            by_name = {d["name"]: d["index"] for d in self.details}
            return [self.interpreter.get_tensor(by_name[t.name]) for t in chosen]
        except (RuntimeError, ValueError, MemoryError) as error:
            raise FrontEndError(
                f"{self.path}: fails on a picture ({why(error)}).",
                "The file is damaged, or needs another runtime.",
            ) from None


def tflite_interpreter(path: Path, threads: int) -> Any:
    """The Interpreter of LiteRT, else of tflite-runtime, for a file; ``FrontEndError`` in one sentence where
    there is none.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter

        old = False
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter

            old = True
        except Exception:  # under numpy 2 the import may already fail, with an error of numpy's
            raise FrontEndError(
                f"{path}: needs LiteRT, which is not installed or does not load.",
                "Run: pip install ai-edge-litert",
            ) from None
    try:
        return Interpreter(model_path=str(path), num_threads=threads)
    except SystemError:
        if not old or int(np.__version__.split(".")[0]) < 2:
            raise
        raise FrontEndError(
            "The installed tflite-runtime was built for numpy 1 and cannot work with numpy "
            f"{np.__version__}.",
            TFLITE_RUNTIME_HINT,
        ) from None
    except (ValueError, RuntimeError, MemoryError) as error:
        raise FrontEndError(
            f"{path}: not a TFLite model ({why(error)}).", "The file is damaged or of another kind."
        ) from None


class _Onnx:
    """An .onnx file in ONNX Runtime."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise FrontEndError(
                f"{path}: needs onnxruntime ({why(error)}).", "Run: pip install onnxruntime"
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 4
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own errors have no common class
            raise FrontEndError(
                f"{path}: not an ONNX model ({why(error)}).",
                "The file is damaged, of another kind or newer than onnxruntime.",
            ) from None
        inputs = self.session.get_inputs()
        if len(inputs) != 1:
            raise FrontEndError(
                f"{path}: has {len(inputs)} inputs, a backbone has one.", "Give an image backbone."
            )
        self.path, self.input = path, self._tensor(inputs[0])
        self.outputs = [self._tensor(t) for t in self.session.get_outputs()]

    def _tensor(self, t: Any) -> Tensor:
        kind = t.type[len("tensor(") : -1]
        try:
            dtype = np.dtype({"float": "float32", "double": "float64"}.get(kind, kind))
        except TypeError:  # bfloat16, a sequence: nothing that NumPy has
            dtype = np.dtype(object)
        return Tensor(
            t.name, tuple(s if isinstance(s, int) and s > 0 else None for s in t.shape), dtype, None
        )

    def resize(self, shape: tuple[int, ...]) -> None:
        pass  # it takes what it is given

    def run(self, x: np.ndarray, chosen: list[Tensor]) -> list[np.ndarray]:
        try:
            return self.session.run([t.name for t in chosen], {self.input.name: x})
        except Exception as error:
            raise FrontEndError(
                f"{self.path}: fails on a picture ({why(error)}).",
                "The file is damaged, or made for another size.",
            ) from None


def _tensor(d: dict) -> Tensor:
    scale, zero = d["quantization"]
    signature = d.get("shape_signature", d["shape"])
    shape = tuple(int(s) if s > 0 else None for s in (signature if len(signature) else d["shape"]))
    return Tensor(d["name"], shape, np.dtype(d["dtype"]), (scale, zero) if scale else None)


def _show(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('any' if s is None else str(s) for s in shape)}]"


def why(error: Exception) -> str:
    """First line of a library's message, or its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
