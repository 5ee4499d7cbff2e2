# SPDX-License-Identifier: Apache-2.0
"""A model that sees through a backbone is shown things once: in Python by the backbone, in the generated
program by vectors from a file or a pipe; both keep and say the same, to the bit.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from command_line import run
from PIL import Image
from shown_script import answers, show_once
from store.store_support import same
from support import need
from taught_support import SOME_BACKBONE, colour_backbone, knowing, picture, seen

import bitmar_tiny as bt
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.data.backbone_record import read_record
from bitmar_tiny.data.show_once import UNKNOWN
from bitmar_tiny.data.things.find import open_things
from bitmar_tiny.errors import ConfigError
from bitmar_tiny.memory.store import MemoryStore
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.run.golden import GoldenSession
from bitmar_tiny.verify.compare import verify

COLOURS = ("red", "lime", "blue", "cyan")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures, a backbone, the features that it makes of them, and a model that was trained on those."""
    pytest.importorskip("onnxruntime", reason="pip install onnx onnxruntime")
    where = tmp_path_factory.mktemp("vectors")
    for colour in COLOURS:
        (where / f"{colour}.png").write_bytes(picture(colour))
        Image.new("RGB", (30, 20), colour).save(where / f"{colour}.ppm")
    colour_backbone(where / "colours.onnx")
    words = ("--backbone", "colours.onnx", "--mean", "0", "--std", "1", "--no-norm", "-o", "features")
    done = run("features", *(f"{colour}.png" for colour in COLOURS), *words, cwd=where)
    assert done.returncode == 0, done.stderr
    knowing(backbone=read_record(where / "features")).save(where / "model.bitmar")
    return where


@pytest.fixture
def here(folder, monkeypatch, tmp_path):
    """A folder of its own with all that."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pictures_are_seen_through_the_backbone_that_the_model_names(here):
    def typed(*words, code=0):
        done = run(*words)
        assert done.returncode == code, done.stderr
        return done

    lacking = typed("teach", "dax", "--image", "red.png", code=2).stderr
    assert (
        "sees through a backbone, colours.onnx (colours y (1 x 768), 1 vector a picture, SHA-256 "
        in lacking.replace("\n", " ")
    )
    assert "--backbone colours.onnx" in lacking and not (here / "memory.store").exists()
    taught = typed("teach", "my cup", "--image", "red.png", "--backbone", "colours.onnx")
    assert taught.stdout == "Taught: my cup (slot 1, 1 thing is known now).\n"
    for backbone in ("colours.onnx", "features/backbone.onnx"):
        assert typed("ask", "--image", "red.ppm", "--backbone", backbone).stdout == "This is my cup.\n"
    assert "I don't know" in typed("ask", "--image", "blue.png", "--backbone", "colours.onnx").stdout
    colour_backbone(here / "other.onnx", 8)
    other = typed("ask", "--image", "red.png", "--backbone", "other.onnx", code=2).stderr
    assert "other.onnx" in other and "colours.onnx" in other
    assert "my cup" in typed("memory", "list").stdout
    assert typed("forget", "my cup").stdout == "Forgot: my cup (slot 1).\n"


def test_the_vectors_of_training_are_those_of_a_picture(here):
    """A backbone that was opened once, for files, bytes and another model of the same backbone."""
    model, kept = bt.load("model.bitmar"), np.load("features/features.npy")
    opened = bt.open_backbone(model, "colours.onnx")
    for i, colour in enumerate(COLOURS):
        for image in (f"{colour}.png", picture(colour)):
            assert np.array_equal(opened.encode(image), kept[i].astype(np.float32))
        assert np.allclose(kept[i], seen(model, colour), atol=1e-3)
    assert bt.teach_thing(model, "dax", "red.png", backbone=opened, memory="m.store").thing.slot == 1
    with pytest.raises(bt.DataError, match="Standard input: not a picture"):
        bt.ask_thing(model, b"no picture", backbone=opened, memory="m.store")


@pytest.mark.parametrize("board", ["host", "rpi-zero2"])
def test_every_tensor_of_teaching_and_asking_is_goldens(tmp_path, board):
    need(board)
    model, profile = knowing(backbone=SOME_BACKBONE), load_board(board)
    script = show_once(model)
    assert answers(model, script, keeps=True) == [" an apple.", " a dax.", UNKNOWN]
    project = emit(model, profile, tmp_path / "p", memory="sd")
    program = build(project.path, profile, project.family, taps=True)
    with ProgramSession(program, profile, board, project.memory_store) as session:
        verdict = verify(model, session, script)
        assert session.memory_tier == "sd" and verdict.exact, verdict.difference
        assert not verify(model, session, script, golden=GoldenSession(model, "ram")).exact


@pytest.mark.parametrize("board", ["host", "rpi-zero2"])
def test_the_program_is_shown_vectors(here, board):
    """From a file and from a pipe that Python fills; it keeps what Python keeps."""
    need(board, "gcc")
    model, profile = bt.load("model.bitmar"), load_board(board)
    family = "portable" if board == "host" else None
    project = emit(model, profile, here / "p", family, memory="sd", features=here / "features")
    program = build(project.path, profile, project.family, compiler="gcc")
    shutil.copy(project.memory_store, here / "memory.store")
    shutil.copy(project.memory_store, here / "python.store")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(project.path)}  # nothing of bitmar-tiny's

    def features(*words, stdin=b"", code=0):
        command = [sys.executable, "-P", "-m", "features", *words]
        done = subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=120)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr.decode()

    def program_(*words, stdin=b"", code=0):
        done = subprocess.run([*program.command, *words], input=stdin, capture_output=True, timeout=120)
        assert done.returncode == code, done.stderr
        return (done.stderr if code else done.stdout).decode()

    red = features("red.png", "-o", "-")
    assert red == np.load("features/features.npy")[0].astype("<f4").tobytes()
    assert "Taught: my cup (slot 1" in program_("teach", "my cup", "-", stdin=red)
    bt.teach_thing(model, "my cup", "red.png", backbone="colours.onnx", memory="python.store")
    stores = [MemoryStore.open(here / f"{name}.store", model.digest) for name in ("memory", "python")]
    assert same(*(store.read() for store in stores))
    features("red.ppm", "-o", "again.f32")
    assert program_("ask", "again.f32") == "This is my cup.\n"
    camera = b"".join((here / f"{c}.ppm").read_bytes() for c in ("red", "blue", "red"))
    said = "This is my cup.\nI don't know.\nThis is my cup.\n"
    assert program_("ask", "-", stdin=features("-", "-o", "-", stdin=camera)) == said
    if board != "host":
        return
    assert "the picture is cut short" in features("-", "-o", "-", stdin=camera[:-1], code=2)
    assert "not a PPM picture" in features("-", "-o", "-", stdin=b"GIF89a", code=2)
    assert "no picture" in features("-", "-o", "-", code=2)
    assert "no PPM header" in features("-", "-o", "-", stdin=b"P6 # a\n12x", code=2)
    for words, stdin, why in (
        (("ask", "-"), camera, "-: a PPM picture; this model sees through a backbone"),
        (("ask", "-"), picture("red"), "-: a file of kind PNG; this model sees through a backbone"),
        (("ask", "-"), red[:-1], "-: the features are cut short"),
        (("ask", "-"), b"", "-: no features"),
        (("ask", "red.ppm"), b"", "red.ppm: a PPM picture; this model sees through a backbone"),
        (("teach", "dax", "red.png"), b"", "red.png: a file of kind PNG; this model sees through a backbone"),
    ):
        assert why in program_(*words, stdin=stdin, code=2)
    assert "a picture of" not in program_("info")
    environment["PATH"] = os.environ["PATH"]
    assert 'build/bitmar teach "my cup" -' in (project.path / "README.md").read_text()


def test_codegen_takes_the_backbone_that_the_model_was_trained_with(here):
    model = bt.load("model.bitmar")
    colour_backbone(here / "other.onnx", 8)
    words = ("--backbone", "other.onnx", "--mean", "0", "--std", "1", "--no-norm", "-o", "others")
    assert run("features", "red.png", *words).returncode == 0
    about = json.loads((here / "others" / "backbone.json").read_text())
    (here / "others" / "backbone.json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match=r"others: holds other.onnx .* was trained with colours.onnx"):
        emit(model, load_board("host"), here / "p", "portable", features=here / "others")


def test_things_are_drawn_and_seen(here):
    """A table of features has the things, the views and the sides of its pictures, and says what made it."""
    from things_support import save_shapes

    save_shapes(here / "things", 12)
    words = ("--backbone", "colours.onnx", "--mean", "0", "--std", "1", "--no-norm", "-o", "seen")
    done = run("features", "--things", "things", *words)
    assert done.returncode == 0, done.stderr
    drawn, table = open_things(here / "seen" / "drawn", here, None), open_things(here / "seen", here, 1)
    assert drawn.pixels and not table.pixels and table.pictures.shape == (24, 1, 768)
    assert table.backbone.same(read_record(here / "seen")) and table.backbone.vectors == 1
    for part in ("thing", "view", "side"):
        assert np.array_equal(getattr(drawn, part), getattr(table, part))
    again = run("features", "--things", "seen", *words[:-1], "twice")
    assert again.returncode == 2 and "seen: holds features, not pictures" in again.stderr.replace("\n", " ")
    assert "Both PICTURES and --things" in run("features", "red.png", "--things", "things", *words).stderr
    assert "What is to be turned" in run("features", *words).stderr
