# SPDX-License-Identifier: Apache-2.0
"""Features through a tiny ONNX backbone made here: cutting, layout, labels, refusals."""

import json

import numpy as np
import pytest

from bitmar_tiny.data.backbones import Backbone, file_backbone, timm_backbone, transformers_backbone
from bitmar_tiny.data.corpus import CaptionSet
from bitmar_tiny.data.features import Preparation, extract, write_features
from bitmar_tiny.data.frontend.vectors import FrontEndError, layer_norm, pool_grid
from bitmar_tiny.errors import DataError

SIZE, PATCH, WIDTH = 56, 14, 384
RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, (SIZE, SIZE, 3), np.uint8) for _ in range(11)]
OUTPUTS = ("/encoder/layer.0/out", "/encoder/layer.1/out")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Patch embedding + a CLS token + two 'blocks' + a head after the cut."""
    onnx = pytest.importorskip("onnx", reason="pip install onnx onnxruntime")
    pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    h, n = onnx.helper, onnx.numpy_helper
    weights = {
        "patch": RNG.normal(0, 0.05, (WIDTH, 3, PATCH, PATCH)),
        "w0": RNG.normal(0, 0.05, (WIDTH, WIDTH)),
        "w1": RNG.normal(0, 0.05, (WIDTH, WIDTH)),
        "cls": RNG.normal(0, 1, (1, 1, WIDTH)),
    }
    nodes = [
        h.make_node("Conv", ["x", "patch"], ["grid"], strides=[PATCH, PATCH]),
        h.make_node("Reshape", ["grid", "flat"], ["columns"]),
        h.make_node("Transpose", ["columns"], ["patches"], perm=[0, 2, 1]),
        h.make_node("Shape", ["patches"], ["batch"], end=1),
        h.make_node("Concat", ["batch", "ones"], ["tile"], axis=0),
        h.make_node("Expand", ["cls", "tile"], ["clss"]),
        h.make_node("Concat", ["clss", "patches"], ["tokens"], axis=1),
        h.make_node("MatMul", ["tokens", "w0"], [OUTPUTS[0]]),
        h.make_node("MatMul", [OUTPUTS[0], "w1"], [OUTPUTS[1]]),
        h.make_node("ReduceMean", [OUTPUTS[1]], ["y"]),
    ]
    values = [n.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    values += [
        n.from_array(np.array(v, np.int64), k)
        for k, v in {"flat": [0, WIDTH, -1], "ones": [1, WIDTH]}.items()
    ]
    graph = h.make_graph(
        nodes,
        "tiny",
        [h.make_tensor_value_info("x", 1, ["n", 3, SIZE, SIZE])],
        [h.make_tensor_value_info("y", 1, [1, 1, 1])],
        values,
    )
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 15)], ir_version=8), str(path))
    return path, {k: v.astype(np.float32) for k, v in weights.items()}


def extracted(path, pictures, outputs, **how):
    """float16 [N, vectors, 768]"""
    return np.stack([v for v, _ in extract(file_backbone(path, outputs), pictures, Preparation(**how))])


def test_features_are_the_patches_of_both_blocks(model):
    path, w = model
    features = extracted(path, PICTURES, OUTPUTS)
    assert features.shape == (11, 16, 768) and features.dtype == np.float16
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    picture = (PICTURES[9] / 255 - mean) / deviation
    patch = picture[14:28, 28:42].transpose(2, 0, 1)  # row 1, column 2: vector 6
    block0 = np.tensordot(w["patch"], patch, 3) @ w["w0"]
    expected = np.concatenate([layer_norm(block0), layer_norm(block0 @ w["w1"])])
    assert np.allclose(features[9, 6].astype(float), expected, atol=5e-3)


def test_written_features_load_as_a_caption_set(model, tmp_path):
    seen = []
    backbone = file_backbone(model[0], OUTPUTS, name="DINOv2-S", size=SIZE)
    write_features(
        tmp_path,
        backbone,
        PICTURES,
        [f"picture {i}" for i in range(11)],
        Preparation(pool=True),
        progress=lambda done, total: seen.append((done, total)),
    )
    captions = CaptionSet.load(tmp_path / "captions.json", tmp_path / "features.npy")
    assert captions.features.shape == (11, 4, 768) and seen == [(i, 11) for i in range(1, 12)]
    full = extracted(model[0], PICTURES[:1], OUTPUTS).astype(np.float32)
    assert np.allclose(captions.image(0), pool_grid(full[0], 4), atol=5e-3)
    about = json.loads((tmp_path / "features.json").read_text())
    assert about["label"] == "DINOv2-S block 0 + block 1 (2 x 384)"
    assert about["provenance"]["file"] == "tiny.onnx" and len(about["provenance"]["sha256"]) == 64


def test_pooling():
    grid = np.arange(16, dtype=np.float32).reshape(16, 1)
    assert pool_grid(grid, 4).ravel().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert pool_grid(grid, 1).ravel().tolist() == [7.5]
    for vectors in (2, 9):
        with pytest.raises(FrontEndError, match=f"averaged down to {vectors}"):
            pool_grid(grid, vectors)
    nine = Backbone(lambda x: [np.ones((9, 768))], "n", ("b",), SIZE)
    with pytest.raises(DataError, match="cannot be pooled"):
        next(extract(nine, PICTURES, Preparation(pool=True)))


def test_refusals(model, tmp_path):
    path = model[0]
    with pytest.raises(DataError, match="no tensor.*Did you mean /encoder/layer.1/out"):
        file_backbone(path, ["/encoder/layer.1/outt"])
    with pytest.raises(DataError, match="side 224"):
        file_backbone(path, OUTPUTS, size=224)
    with pytest.raises(DataError, match="one block of a 768-wide"):
        extracted(path, PICTURES[:1], OUTPUTS[:1])
    with pytest.raises(DataError, match="does not exist"):
        file_backbone(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"hello, not a model")
    with pytest.raises(DataError, match="not an ONNX model|no tensor"):
        file_backbone(tmp_path / "bad.onnx")
    with pytest.raises(DataError, match="0 pictures"):
        write_features(tmp_path / "none", file_backbone(path, OUTPUTS), [], [])
    nan = Backbone(lambda x: [np.full((16, 768), np.nan)], "n", ("b",), SIZE)
    with pytest.raises(DataError, match="NaN"):
        write_features(tmp_path / "out", nan, PICTURES, ["x"] * 11)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "library, load",
    [
        ("transformers", lambda p: transformers_backbone(p, [0])),
        ("timm", lambda p: timm_backbone("vit", p, [0])),
    ],
)
def test_an_absent_library_is_named(library, load, monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(DataError, match=f"pip install {library}"):
        load(tmp_path)


def test_transformers_model_from_a_folder(tmp_path):
    transformers = pytest.importorskip("transformers", reason="pip install transformers")
    config = transformers.Dinov2Config(
        hidden_size=384, num_hidden_layers=3, num_attention_heads=6, image_size=56, patch_size=14
    )
    transformers.Dinov2Model(config).save_pretrained(tmp_path / "m")
    backbone = transformers_backbone(tmp_path / "m", [0, 2], size=SIZE)
    write_features(tmp_path / "out", backbone, PICTURES[:3], ["a", "b", "c"])
    assert CaptionSet.load(
        tmp_path / "out" / "captions.json", tmp_path / "out" / "features.npy"
    ).features.shape == (3, 16, 768)
    with pytest.raises(DataError, match="blocks"):
        transformers_backbone(tmp_path / "m", [3])


def test_timm_model_from_a_file(tmp_path):
    timm = pytest.importorskip("timm", reason="pip install timm")
    torch = pytest.importorskip("torch", reason="pip install torch")
    made = timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0, img_size=SIZE)
    torch.save(made.state_dict(), tmp_path / "w.pth")
    backbone = timm_backbone("vit_small_patch14_dinov2", tmp_path / "w.pth", [7, 10], size=SIZE)
    write_features(tmp_path / "out", backbone, PICTURES[:2], ["a", "b"])
    about = json.loads((tmp_path / "out" / "features.json").read_text())
    assert about["label"] == "vit_small_patch14_dinov2 block 7 + block 10 (2 x 384)" and about["shape"] == [
        2,
        16,
        768,
    ]
