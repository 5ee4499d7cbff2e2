# SPDX-License-Identifier: Apache-2.0
"""The vision front end: .tflite and .onnx files, float and quantised, in both layouts; the generated
project's copy gives the host's bits and the board's program takes them; nothing that a file contains ends in
a traceback or in our end.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import command_line
import numpy as np
import pytest
from click.testing import CliRunner
from data.backbone_files import PATCH, SIZE, onnx_file, patch_weights, tflite_file
from PIL import Image
from support import TINY, need

from bitmar_tiny.cli.features import command
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.data import frontend
from bitmar_tiny.data.backbones import file_backbone
from bitmar_tiny.data.features import Preparation, extract
from bitmar_tiny.data.frontend.vectors import FrontEndError, layer_norm, project, to_vectors
from bitmar_tiny.errors import BitmarError, ConfigError, DataError
from bitmar_tiny.golden.model import GoldenModel

HALVES = Preparation((0.5,) * 3, (0.5,) * 3)
KINDS = {
    "nchw.onnx": lambda p: onnx_file(p),
    "nhwc.onnx": lambda p: onnx_file(p, channels_first=False),
    "float.tflite": lambda p: tflite_file(p),
    "quantised.tflite": lambda p: tflite_file(p, quantised=True),
}


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """A JPEG that is neither square nor of the right size."""
    path = tmp_path_factory.mktemp("picture") / "a_cat.jpg"
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (90, 70, 3), np.uint8)).resize((700, 900)).save(
        path
    )
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory, tiny):
    """The command of the model's program."""
    need("host")
    project_ = emit(tiny, load_board("host"), tmp_path_factory.mktemp("program") / "p", "portable")
    return build(project_.path, load_board("host"), "portable").command


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_are_the_products_of_patches(kind, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    ((vectors, widths),) = extract(file_backbone(KINDS[kind](tmp_path / kind)), [pixels], HALVES)
    assert vectors.shape == (16, 768) and vectors.dtype == np.float16 and widths == [768]
    patch = pixels[PATCH : 2 * PATCH, 2 * PATCH : 3 * PATCH] / 127.5 - 1  # row 1, column 2: vector 6
    want = layer_norm(np.tensordot(patch_weights(768), patch, 3))
    assert np.abs(vectors[6] - want).max() < (
        0.06 if "quantised" in kind else 0.004
    )  # its output steps are 0.04 / 0.7


@pytest.mark.parametrize("kind", KINDS)
def test_the_board_computes_the_hosts_bits_and_its_program_takes_them(kind, tmp_path, picture, tiny, program):
    tiny.save(tmp_path / "tiny.bitmar")
    done = CliRunner().invoke(
        command,
        [
            str(picture),
            "--backbone",
            str(KINDS[kind](tmp_path / kind)),
            "--mean",
            "0.5",
            "--std",
            "0.5",
            "--model",
            str(tmp_path / "tiny.bitmar"),
            "-o",
            str(tmp_path / "features"),
        ],
        standalone_mode=False,
    )
    assert done.exception is None, done.exception
    host = np.load(tmp_path / "features" / "features.npy")
    assert host.shape == (1, TINY.image_inputs, 768)
    project_ = emit(tiny, load_board("host"), tmp_path / "p", "portable", features=tmp_path / "features")
    on_board = [sys.executable, "-P", "-m", "features"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(project_.path)}  # nothing of bitmar-tiny's
    subprocess.run(
        [*on_board, str(picture), "-o", "cat.f32"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )
    assert np.array_equal(
        np.fromfile(tmp_path / "cat.f32", "<f4").reshape(host[0].shape), host[0].astype(np.float32)
    )

    words = ["generate", "--tokens", "8", "--ids", "--no-memory"]
    done = subprocess.run(
        [*on_board, str(picture), "--", *program, *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    golden = GoldenModel(tiny.config, tiny.arrays, memory_on=False)
    golden.set_image(host[0].astype(np.float32))
    stream = [tiny.config.vocab_size - 1]
    for _ in range(8):
        stream.append(int(golden.step(stream[-1]).argmax()))
    assert done.returncode == 0 and [int(t) for t in done.stdout.split()] == stream[1:]
    assert "python3 -m features" in (project_.path / "README.md").read_text()


def test_quantised_numbers_become_the_codes_of_the_model(tmp_path):
    """Un-normalised, an int8 output goes through float16 and the model's own quantisation with its order and
    sign kept.
    """
    from bitmar_tiny.golden import numerics as nm

    pixels = np.random.default_rng(2).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    backbone = file_backbone(tflite_file(tmp_path / "q.tflite", quantised=True))
    raw = backbone.run((pixels / np.float32(127.5) - 1).astype(np.float32))[0]
    steps = raw / np.float32(0.04)
    assert np.abs(steps - np.rint(steps)).max() < 1e-4 and len(np.unique(np.rint(steps))) > 50
    ((vectors, _),) = extract(backbone, [pixels], Preparation((0.5,) * 3, (0.5,) * 3, normalise=False))
    codes, _ = nm.quantize(vectors[0].astype(np.float32))
    assert (
        np.abs(codes - steps[0] * 127 / np.abs(steps[0]).max()).max() <= 0.56
    )  # half a code, and float16's rounding


def test_width_and_grid():
    tokens = [np.random.default_rng(0).normal(size=(261, 384)).astype(np.float32) for _ in range(2)]
    out = to_vectors(tokens, True, None, False)  # 16 x 16, a CLS and four registers before it
    assert out.shape == (256, 768) and np.array_equal(
        out[0, :384], layer_norm(tokens[0][5]).astype(np.float16).astype(np.float32)
    )
    assert to_vectors(tokens, True, 64, False).shape == (64, 768)
    with pytest.raises(FrontEndError, match=r"vectors of 384 numbers, the model takes 768.*--project"):
        _raise(lambda: to_vectors(tokens[:1], True, None, False))
    with pytest.raises(FrontEndError, match="no square grid"):
        to_vectors([tokens[0], tokens[1][:9]], True, None, False)
    with pytest.raises(FrontEndError, match="896 vectors, which is no square grid"):
        to_vectors([np.zeros((896, 768), np.float32)], True, None, False)
    with pytest.raises(FrontEndError, match="NaN"):
        to_vectors([np.full((4, 768), 1e6)], False, None, False)


def _raise(call):
    try:
        call()
    except FrontEndError as error:
        raise FrontEndError(f"{error.message} {error.hint}") from None


def test_projection_keeps_distances_and_never_changes():
    x = np.random.default_rng(0).normal(size=(20, 1280)).astype(np.float32)
    y = project(x)

    def far(a):
        return np.linalg.norm(a[:, None] - a[None], axis=-1)[np.triu_indices(20, 1)]

    assert y.shape == (20, 768) and np.abs(far(y) * np.sqrt(1280 / 768) / far(x) - 1).max() < 0.15
    assert np.array_equal(
        project(np.eye(3, dtype=np.float32))[0, :8] > 0, np.array([0, 0, 1, 1, 0, 1, 0, 0], bool)
    )
    assert not project(np.zeros((1, 7), np.float32)).any()
    assert to_vectors([x[:16]], True, 4, True).shape == (4, 768)


def test_refusals_of_files_and_options(tmp_path, picture, tiny):
    def refused(*arguments: str) -> str:
        error = (
            CliRunner()
            .invoke(command, [str(picture), "-o", str(tmp_path / "f"), *arguments], standalone_mode=False)
            .exception
        )
        assert isinstance(error, BitmarError), error
        return str(error)

    narrow = onnx_file(tmp_path / "narrow.onnx", 96)
    assert "96 numbers, the model takes 768" in refused("--backbone", str(narrow))
    assert "any size" in refused("--backbone", str(onnx_file(tmp_path / "open.onnx", side="s")))
    assert "side 64" in refused("--backbone", str(narrow), "--size", "64")
    assert "[1, 40, 40, 3]" in refused(
        "--backbone", str(onnx_file(tmp_path / "40.onnx", channels_first=False, side=40)), "--size", "56"
    )
    assert "not one number or three" in refused("--backbone", str(narrow), "--mean", "1,2")
    assert "above 0" in refused("--backbone", str(narrow), "--std", "0")
    assert "no output 'z'" in refused("--backbone", str(tflite_file(tmp_path / "a.tflite")), "--blocks", "z")
    assert "neither a .tflite nor an .onnx" in refused("--backbone", str(picture))
    tiny.save(tmp_path / "tiny.bitmar")
    assert (
        "leave out one"
        in refused("--backbone", str(narrow), "--model", str(tmp_path / "tiny.bitmar"), "--pool").lower()
    )
    (tmp_path / "foreign.tflite").write_bytes(narrow.read_bytes())
    assert "not a TFLite model" in refused("--backbone", str(tmp_path / "foreign.tflite"))


def test_an_onnx_file_in_pieces_becomes_one(tmp_path, picture):
    """As torch.onnx writes large models: weights in a second file, which nobody would copy to the board."""
    onnx = pytest.importorskip("onnx", reason="pip install onnx onnxruntime")
    whole = onnx_file(tmp_path / "whole.onnx")
    onnx.save(
        onnx.load(str(whole)),
        str(tmp_path / "pieces.onnx"),
        save_as_external_data=True,
        location="pieces.bin",
        size_threshold=0,
    )
    found = []
    for name in ("whole", "pieces"):
        done = CliRunner().invoke(
            command,
            [str(picture), "--backbone", str(tmp_path / f"{name}.onnx"), "-o", str(tmp_path / name)],
            standalone_mode=False,
        )
        assert done.exception is None, done.exception
        found.append(np.load(tmp_path / name / "features.npy"))
        ((vectors, _),) = extract(file_backbone(tmp_path / name / "backbone.onnx"), [picture])
        assert np.array_equal(vectors, found[-1][0])
    assert np.array_equal(*found)
    (tmp_path / "pieces.bin").unlink()
    with pytest.raises(DataError, match="not an ONNX model"):
        file_backbone(tmp_path / "pieces.onnx")


def test_refusals_of_codegen(tmp_path, picture, tiny, seeing):
    done = CliRunner().invoke(
        command,
        [str(picture), "--backbone", str(onnx_file(tmp_path / "a.onnx")), "-o", str(tmp_path / "f")],
        standalone_mode=False,
    )
    assert done.exception is None, done.exception
    with pytest.raises(DataError, match="gives 16 vectors a picture, the model takes 4"):
        emit(tiny, load_board("host"), tmp_path / "p", features=tmp_path / "f")
    with pytest.raises(ConfigError, match="takes pixels"):
        emit(seeing, load_board("host"), tmp_path / "p", features=tmp_path / "f")
    with pytest.raises(ConfigError, match="cannot run a backbone file"):
        emit(tiny, load_board("xtensa-sim"), tmp_path / "p", features=tmp_path / "f")
    with pytest.raises(DataError, match="backbone.json: cannot be read"):
        emit(tiny, load_board("host"), tmp_path / "p", features=tmp_path)
    about = json.loads((tmp_path / "f" / "backbone.json").read_text())
    for wrong in (
        about | {"size": 0},
        about | {"std": [0, 1, 1]},
        about | {"extra": 1},
        about | {"schema_version": 2},
        [],
        about | {"mean": 3},
    ):
        (tmp_path / "f" / "backbone.json").write_text(json.dumps(wrong))
        with pytest.raises(DataError, match="not a backbone's declaration"):
            emit(tiny, load_board("host"), tmp_path / "p", features=tmp_path / "f")
    (tmp_path / "f" / "backbone.json").write_text(json.dumps(about | {"vectors": 4}))
    (tmp_path / "f" / "backbone.onnx").write_bytes(b"another")
    with pytest.raises(DataError, match="not the file that backbone.json was made for"):
        emit(tiny, load_board("host"), tmp_path / "p", features=tmp_path / "f")
    assert not (tmp_path / "p").exists()


def test_the_old_runtime_under_numpy_2_is_recognised(tmp_path):
    """As tflite-runtime 2.14 does: it imports, then its Interpreter raises SystemError."""
    fake = tmp_path / "site"
    for name, text in (
        ("ai_edge_litert/__init__.py", "raise ImportError"),
        ("tflite_runtime/__init__.py", ""),
        (
            "tflite_runtime/interpreter.py",
            "class Interpreter:\n    def __init__(self, **k): raise SystemError('no result')\n",
        ),
    ):
        (fake / name).parent.mkdir(parents=True, exist_ok=True)
        (fake / name).write_text(text)
    (tmp_path / "a.tflite").write_bytes(b"any")
    root = Path(__file__).parents[2]
    code = (
        "import sys; sys.path[:0] = [%r, %r]\nfrom bitmar_tiny.data.frontend.backbone import Model, "
        "FrontEndError\nimport numpy; %s\n"
        "try: Model(%r)\nexcept FrontEndError as e: print(e.message, e.hint)\nexcept SystemError: print('as "
        "it is')"
    )

    def run(change):
        return subprocess.run(
            [sys.executable, "-c", code % (str(fake), str(root), change, str(tmp_path / "a.tflite"))],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "built for numpy 1 and cannot work with numpy 2.1.0. Run: pip install 'numpy<2'" in run(
        "numpy.__version__ = '2.1.0'"
    )
    assert run("numpy.__version__ = '1.26.4'") == "as it is\n"
    (fake / "tflite_runtime" / "interpreter.py").write_text("raise ImportError")
    assert "pip install ai-edge-litert" in run("pass")


def test_the_command_keeps_good_pictures_and_lists_bad_ones(tmp_path):
    """Files, folders and lists; the exit code tells that some were left out."""
    onnx_file(tmp_path / "b.onnx")
    (tmp_path / "more").mkdir()
    for name in ("good.png", "more/red_fox.png", "listed.png"):
        Image.new("RGB", (9, 9), (len(name), 0, 0)).save(tmp_path / name)
    (tmp_path / "bad.jpg").write_bytes(b"hello")
    (tmp_path / "list.txt").write_text("listed.png\n")
    names = ("good.png", "bad.jpg", "more", "list.txt")
    done = command_line.run("features", *names, "--backbone", "b.onnx", "-o", "f", cwd=tmp_path)
    assert done.returncode == 2 and "bad.jpg: not a picture" in done.stderr
    assert "1 picture has no features" in done.stderr
    assert json.loads((tmp_path / "f" / "captions.json").read_text()) == ["good", "red fox", "listed"]
    assert np.load(tmp_path / "f" / "features.npy").shape == (3, 16, 768)
    (tmp_path / "bad.jpg").unlink()
    names = ("good.png", "more", "list.txt")
    assert (
        command_line.run("features", *names, "--backbone", "b.onnx", "-o", "f", cwd=tmp_path).returncode == 0
    )


def test_the_front_end_is_python_3_9():
    """Raspberry Pi OS of 2021 has it. Its zip has no ``strict``, and its syntax no ``match``."""
    for file in Path(frontend.__file__).parent.glob("*.py"):
        tree = ast.parse(file.read_text(), feature_version=(3, 9))
        zips = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "zip"
        ]
        assert not any(call.keywords for call in zips), file.name
        assert not any(isinstance(node, ast.Match) for node in ast.walk(tree)), file.name
