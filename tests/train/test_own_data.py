# SPDX-License-Identifier: Apache-2.0
"""Training on data of one's own: a run knows what it was begun with, goes on, and is one process's alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import command_line
import numpy as np
import pytest
from PIL import Image
from train.test_resume import same_state
from train.toy import MICRO, SETTINGS, Toy

from bitmar_tiny.data.corpora import file_corpus
from bitmar_tiny.data.tokenizer import EOS_TEXT, Tokenizer
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.files import only_one
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.model.export import freeze
from bitmar_tiny.train import checkpoint
from bitmar_tiny.train.loop import train
from bitmar_tiny.train.order import order
from bitmar_tiny.train.run import freeze_run, read_start, train_run
from bitmar_tiny.train.start import latents

ROOT = Path(__file__).resolve().parents[2]
BYTES = Tokenizer([*(bytes([b]) for b in range(256)), EOS_TEXT], [])
CFG = MICRO.model_copy(update={"image_tokens": 4})
SHORT = SETTINGS.model_copy(update={"steps": 3, "max_len": 12})


def corpus(folder: Path, text: str = "one two\nthree\n"):
    """40 pictures with captions, and text."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "f.npy", np.random.default_rng(0).integers(0, 256, (40, 4, 768), np.uint8))
    (folder / "c.json").write_text(json.dumps([f"pic {i}" for i in range(40)]))
    (folder / "t.txt").write_text(text)
    paths = [[folder / name] for name in ("c.json", "f.npy", "t.txt")]
    return file_corpus(CFG, *paths, folder / "data", tokenizer=BYTES)


def go(folder: Path, data, settings=SHORT, **options):
    return train_run(CFG, settings, data, folder / "run", progress=False, **options)


@pytest.fixture(autouse=True)
def _nothing_is_drawn(monkeypatch):
    monkeypatch.setattr("bitmar_tiny.train.run.plot_training", lambda log, folder: [])


@pytest.mark.parametrize("what", ["text", "captions", "features"])
def test_other_data_of_the_same_size_is_other_data(tmp_path, what):
    data = corpus(tmp_path / "data")
    go(tmp_path, data)
    go(tmp_path, corpus(tmp_path / "data"))  # the same again: nothing to do
    if what == "text":
        other = corpus(tmp_path / "data", "one two\nseven\n")
    else:
        path = tmp_path / "data" / ("c.json" if what == "captions" else "f.npy")
        raw = bytearray(path.read_bytes())
        raw[-20 if what == "features" else raw.index(b"pic 7") + 4] ^= 1
        path.write_bytes(raw)
        names = [[tmp_path / "data" / name] for name in ("c.json", "f.npy", "t.txt")]
        other = file_corpus(CFG, *names, tmp_path / "data" / "data", tokenizer=BYTES)
    with pytest.raises(ConfigError, match="holds a run of other settings .other data"):
        go(tmp_path, other)
    go(tmp_path, other, resume=False)


def test_more_steps_go_on_and_fewer_are_refused(tmp_path):
    """However often it saves and looks from then on."""
    data = corpus(tmp_path / "data")
    go(tmp_path, data)
    go(tmp_path, data, SHORT.model_copy(update={"steps": 6, "checkpoint_every": 1, "holdout_every": 2}))
    go(tmp_path / "whole", data, SHORT.model_copy(update={"steps": 6}))
    same_state(checkpoint.load(tmp_path / "run"), checkpoint.load(tmp_path / "whole" / "run"))
    before = (tmp_path / "run" / "run.json").read_text()
    with pytest.raises(ConfigError, match="has 6 steps already, 3 were asked for"):
        go(tmp_path, data)
    assert (tmp_path / "run" / "run.json").read_text() == before
    with pytest.raises(ConfigError, match="training.lr"):
        go(tmp_path, data, SHORT.model_copy(update={"steps": 9, "lr": 1e-4}))


def test_a_folder_is_one_process_s_and_a_killed_one_lets_go(tmp_path):
    code = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from bitmar_tiny.files import only_one
with only_one(Path({str(tmp_path / "run")!r}), "a training run"):
    print("held", flush=True)
    time.sleep(600)
"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    data = corpus(tmp_path / "data")
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(
            ConfigError, match=f"run: process {holder.pid} is at work there on a training run"
        ):
            go(tmp_path, data)
        assert os.listdir(tmp_path / "run") == [".lock"]
        with pytest.raises(ConfigError, match="run: process .* at work there on features"):
            with only_one(tmp_path / "run", "features"):
                pass
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    with only_one(tmp_path / "run", "x"):  # in one process it may be entered again
        go(tmp_path, data)
    assert "run.json" in os.listdir(tmp_path / "run") and ".lock" not in os.listdir(tmp_path / "run")
    with only_one(tmp_path / "nothing", "x"):
        pass
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": 1, "training": {}}', "[" * 100_000])
def test_a_damaged_record_of_a_run_is_one_sentence(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataError, match="run.json: damaged, not a run's record"):
        order(tmp_path, {})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_keeps_every_step(tmp_path, capsys, number):
    class Stopped(Exception):
        pass

    def stop(*_):
        raise Stopped

    def signalled(model):
        signal.raise_signal(number)

    settings = SETTINGS.model_copy(update={"checkpoint_every": 1000, "holdout_every": 4})
    train(MICRO, settings, Toy(MICRO), tmp_path / "whole", progress=False)
    handler = signal.signal(number, stop)
    try:
        with pytest.raises(Stopped):
            train(MICRO, settings, Toy(MICRO), tmp_path / "run", holdout=signalled)
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, handler)
    said = " ".join(capsys.readouterr().err.split())
    assert "Stopped after step 4 of 6." in said and "checkpoint.pt" in said
    assert f"bitmar-tiny train -o {tmp_path / 'run'} goes on from there" in said
    assert checkpoint.load(tmp_path / "run")["step"] == 4
    train(MICRO, settings, Toy(MICRO), tmp_path / "run", progress=False)
    same_state(checkpoint.load(tmp_path / "run"), checkpoint.load(tmp_path / "whole"))
    capsys.readouterr()
    train(MICRO, settings, Toy(MICRO), tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    assert f"Finished before: 6 steps. bitmar-tiny train -o {tmp_path / 'run'} --steps N goes on" in said


def test_the_second_signal_is_obeyed_at_once(tmp_path):
    def twice(model):
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    settings = SETTINGS.model_copy(update={"checkpoint_every": 1000, "holdout_every": 4})
    with pytest.raises(KeyboardInterrupt):
        train(MICRO, settings, Toy(MICRO), tmp_path, progress=False, holdout=twice)
    assert checkpoint.load(tmp_path) is None


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_convolutions_learn_from_pixels_and_refuse_features(tmp_path, optimizer):
    cfg = CFG.model_copy(update={"vision_channels": (4, 6, 5, 7)})
    settings = SHORT.model_copy(update={"optimizer": optimizer})
    train_run(cfg, settings, corpus(tmp_path / "data"), tmp_path / "run", progress=False)
    frozen = freeze_run(tmp_path / "run")
    assert frozen.config.vision_channels == (4, 6, 5, 7)
    assert np.unique(frozen.arrays["vision.1.gain"]).size > 1
    path = tmp_path / "data" / "f.npy"
    np.save(path, np.zeros((40, 4, 768), np.float32))
    with pytest.raises(ConfigError, match="features of a backbone, and vision_channels takes pixels"):
        file_corpus(cfg, [tmp_path / "data" / "c.json"], [path], [], tmp_path / "other", tokenizer=BYTES)


def test_a_frozen_model_can_be_trained_on(tiny, odd, grouped, seeing):
    """Its trits and codes are where they were; scales but for the last digit."""
    for frozen in (tiny, odd, grouped, seeing):
        first = freeze(latents(frozen))  # random codes need not reach 127, those of training do
        again = freeze(latents(first))
        for name, there in first.arrays.items():
            if name.endswith(".trits"):
                assert (there == frozen.arrays[name]).all(), name
            slack = 1 if name.startswith("memory") else 0
            assert np.allclose(again.arrays[name].astype(float), there.astype(float), 1e-5, slack), name


def test_a_run_may_begin_with_another_run_or_a_model(tmp_path):
    data = corpus(tmp_path / "data")
    go(tmp_path, data)
    frozen = freeze_run(tmp_path / "run")
    frozen.save(tmp_path / "m.bitmar")
    kept = checkpoint.load(tmp_path / "run")["model"]
    from_run, from_model = read_start(tmp_path / "run"), read_start(tmp_path / "m.bitmar")
    assert from_run.config == from_model.config == CFG and from_model.tokenizer.identity == BYTES.identity
    latent = next(name for name in kept if name.startswith("latent"))
    assert (from_run.weights[latent] == kept[latent]).all()
    for name, start in (("a", from_run), ("b", from_model)):
        go(tmp_path / name, data, start=start)
        go(tmp_path / name, data, SHORT.model_copy(update={"steps": 4}), start=start)
        go(tmp_path / name, data, SHORT.model_copy(update={"steps": 5}))  # resumed without naming it
        record = json.loads((tmp_path / name / "run" / "run.json").read_text())
        assert record["start"] == {"from": start.source, "sha256": start.identity}
    with pytest.raises(ConfigError, match="began with other weights"):
        go(tmp_path / "a", data, start=from_model)
    wanted = order(tmp_path / "a" / "run", {})
    assert wanted.config == CFG and wanted.settings.steps == 5
    assert wanted.tokenizer.identity == BYTES.identity


def test_a_run_that_is_begun_anew_has_its_data_its_settings_and_its_start(tmp_path):
    """Unless data or a model are named."""
    data, run = corpus(tmp_path / "data"), tmp_path / "run"
    go(tmp_path / "first", data)
    start = read_start(tmp_path / "first" / "run")
    train_run(CFG, SHORT, data, run, progress=False, data={"text": ["/t.txt"]}, start=start)
    again = order(run, {}, resume=False)
    assert (again.config, again.data["text"]) == (CFG, ["/t.txt"])
    assert again.settings == order(run, {}).settings and again.settings.steps == 3
    assert again.start.identity == start.identity
    train_run(
        again.config, again.settings, data, run, False, progress=False, data=again.data, start=again.start
    )
    assert order(run, {}, changes={"steps": 7}, resume=False).settings.steps == 7
    (tmp_path / "s.json").write_text('{"steps": 8}')
    other = order(run, {}, settings=tmp_path / "s.json", resume=False)
    assert (other.config, other.settings.steps, other.data["text"]) == (CFG, 8, ["/t.txt"])
    fresh = order(run, {"text": ["o.txt"]}, resume=False)
    assert fresh.start is None and fresh.config.name == "demo" and fresh.settings.steps > 1000
    assert order(run, {}, config=MICRO, resume=False).data["text"] == []
    go(tmp_path / "first", data, SHORT.model_copy(update={"steps": 4}))
    with pytest.raises(ConfigError, match="no longer the weights that .*run began with"):
        order(run, {}, resume=False)
    (run / "run.json").write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        order(run, {}, resume=False)
    order(run, {"text": ["o.txt"]}, resume=False)


@pytest.fixture
def photos(tmp_path):
    for i in range(24):
        path = tmp_path / "photos" / ("dog", "red_fox", "owl")[i % 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (i * 9, 255 * (i % 3 == 0), 255 * (i % 3 == 1))).save(path)
    (tmp_path / "photos" / "dog" / "broken.jpg").write_bytes(b"hello")
    (tmp_path / "model.json").write_text(CFG.model_copy(update={"vocab_size": 300}).model_dump_json())
    settings = {"batch_size": 4, "accumulation": 1, "max_len": 12, "steps": 3}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    return tmp_path


def test_from_a_folder_of_pictures_to_a_caption_without_a_script(photos):
    def bitmar(*arguments, code=0):
        done = command_line.run(*arguments, cwd=photos)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    model = ("--config", "model.json", "--settings", "settings.json", "--tokenizer", "own")
    said = bitmar("train", "--pictures", "photos", *model, "-o", "run").stderr
    assert "1 picture cannot be read" in said and "broken.jpg" in said and "24 pictures" in said
    assert "bitmar-tiny freeze run" in said
    said = bitmar("train", "-o", "run", "--steps", "5").stderr  # goes on with what it was begun with
    assert json.loads((photos / "run" / "run.json").read_text())["training"]["steps"] == 5
    bitmar("freeze", "run", "-o", "m.bitmar")
    assert FrozenModel.load(photos / "m.bitmar").config.vocab_size <= 300
    assert bitmar("generate", "m.bitmar", "--image", "photos/owl/2.png").returncode == 0
    bitmar(
        "train", "--pictures", "photos", "--init", "m.bitmar", "--settings", "settings.json", "-o", "tuned"
    )
    for wrong, words in (
        (("--captions", "x.json"), "need their pictures"),
        (("--pictures", "photos", "--features", "x.npy", "--captions", "x"), "both give the pictures"),
        (("--features", "x.npy"), "need their captions"),
        (("--tokenizer", "own"), "trained on data of your own"),
        (("--pictures", "none"), "none: does not exist"),
        (("--pictures", "none.png"), "none.png: does not exist"),
        (("--pictures", "photos/owl/2.png"), "2.png: a file, not a folder"),
        (("--pictures", "photos", "--init", "recall"), "Give sessions with --sessions FILE"),
        (("--init", "run", "--preset", "demo"), "Leave out --preset"),
    ):
        assert words in bitmar("train", *wrong, "-o", "fresh", code=2).stderr


def test_ctrl_c_on_the_command_line(photos):
    """A real process: exit code 130, what is kept is said, and the next start goes on from there."""
    command = [sys.executable, "-m", "bitmar_tiny", "train", "--pictures", "photos", "--tokenizer", "own"]
    command += ["--config", "model.json", "--settings", "long.json", "-o", "run"]
    settings = {"batch_size": 4, "accumulation": 1, "max_len": 12, "steps": 10**6, "log_every": 1}
    (photos / "long.json").write_text(json.dumps(settings | {"checkpoint_every": 10**6}))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=photos, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        log = photos / "run" / "log.jsonl"
        while process.poll() is None and not (log.is_file() and '"step"' in log.read_text()):
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                pass
        process.send_signal(signal.SIGINT)
        said = " ".join(process.communicate(timeout=300)[1].split())
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and "Stopped after step" in said and "Traceback" not in said, said
    assert checkpoint.load(photos / "run")["step"] >= 1
