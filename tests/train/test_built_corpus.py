# SPDX-License-Identifier: Apache-2.0
"""Training on what `bitmar-tiny corpus` put together."""

import hashlib
import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from bitmar_tiny.data import corpora
from bitmar_tiny.data.collect import build
from bitmar_tiny.data.files import write_json, write_npy
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.evaluate import paper_scores
from bitmar_tiny.evaluate.model_record import ship
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.train.corpus import run_corpus
from bitmar_tiny.train.order import order
from bitmar_tiny.train.run import train_run

from .toy import MICRO, SETTINGS

CFG = MICRO.model_copy(update={"vocab_size": 400})
NAMES = [f"red thing {n}" for n in "abcdefghij"]


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A corpus of two sources and ten pictures, one of them held out."""
    folder = tmp_path / "corpus"
    (folder / "styles/noto").mkdir(parents=True)
    files = {"train/a.train": 12, "train/b.train": 5, "held-out/a.dev": 3, "held-out/b.dev": 0}
    for name, count in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"line {i} of {name} is here.\n" for i in range(count)))
    write_json(
        folder / build.REPORT,
        {"schema": build.SCHEMA, "sources": [{"files": {n: (folder / n).stat().st_size for n in files}}]},
    )

    def drawn(out, vectors, progress=None, styles=()):
        assert [s.name for s in styles] == ["noto"] and out.name == f"pictures-{vectors}"
        out.mkdir(exist_ok=True)
        (out / "captions.json").write_text(json.dumps(NAMES))
        pixels = np.random.default_rng(0).integers(0, 256, (len(NAMES), vectors, 768), np.uint8)
        write_npy(out / "features.npy", pixels)
        (out / "split.json").write_text(json.dumps({"holdout": [4], "holdout_concept": [4]}))
        return out

    monkeypatch.setattr(corpora, "prepare_openmoji", drawn)
    return folder


def test_a_run_reads_text_pictures_and_what_is_held_out(built, tmp_path):
    corpus = run_corpus(CFG, SETTINGS, {"folder": str(tmp_path / "run/data"), "corpus": [str(built)]})
    assert (len(corpus.texts), len(corpus.held_out_texts)) == (17, 3)
    assert corpus.held_out == [4]
    assert not any("thing e" in corpus.captions.captions[i] for i in corpus.train)
    assert len(corpus.train) >= 9 and corpus.tokenizer.vocab_size == 400
    assert not (tmp_path / "run").exists()  # twins share what is drawn and tokenised
    out, data = tmp_path / "run", {"corpus": [str(built)]}
    train_run(CFG, SETTINGS, corpus, out, progress=False, data=data | {"folder": str(out / "data")})
    again = order(out, {}, changes={"steps": 8})
    assert again.data["corpus"] == [str(built)] and again.own_data
    assert again.corpus().identity == corpus.identity


def test_a_corpus_that_is_not_whole_is_refused(built, tmp_path):
    (built / "train/a.train").write_text("half")
    with pytest.raises(DataError, match=r"holds no corpus.*Run: bitmar-tiny corpus -o"):
        run_corpus(CFG, SETTINGS, {"folder": str(tmp_path), "corpus": [str(built)]})


def test_a_corpus_goes_with_no_other_data(tmp_path):
    for own, more in (({"corpus": ["c"], "text": ["t"]}, {}), ({"corpus": ["c"]}, {"tokenizer": "own"})):
        with pytest.raises(ConfigError, match="--corpus brings its text and pictures"):
            order(tmp_path / "run", own, **more)
    with pytest.raises(ConfigError, match="given twice"):
        order(tmp_path / "run", {"corpus": ["c", "d"]})


def test_the_recipe_for_a_gpu_does_all_of_it_on_a_cpu(built, tmp_path, monkeypatch):
    """Not that it is quick: that every part of it runs, and leaves what it says."""
    monkeypatch.setattr(paper_scores, "ALONG", ())
    recipe = runpy.run_path(str(Path(__file__).parents[2] / "examples/gpu_run.py"))
    out = tmp_path / "gpu"
    report = recipe["gpu_run"](
        CFG, built, out, seconds=0.5, device="cpu", limit=3, batch_size=2, max_len=16, threads=1
    )
    assert json.loads((out / "gpu-run.json").read_text()) == report
    assert set(report["seconds"]) == {"measured", "trained", "frozen", "scored"}
    assert 0 <= report["cost"]["outside_kernels"] < 1 and report["steps"] >= 2
    model = FrozenModel.load(out / report["model"])
    record = json.loads((out / report["model"]).with_suffix(".json").read_text())
    assert record["sha256"] == model.digest == record["scores"]["scores"]["model_sha256"]
    assert record["steps"] == report["steps"] and record["curve"][0]["tokens"] > 0
    write_json(tmp_path / "s.json", record["scores"]["scores"])
    write_json(tmp_path / "other.json", record["scores"]["scores"] | {"model_sha256": "0"})
    file, shipped = ship(out / "run", [tmp_path / "s.json"], tmp_path / "shipped")
    assert shipped == json.loads(file.with_suffix(".json").read_text())
    assert shipped["file_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert shipped["sha256"] == record["sha256"] and shipped["curve"] == record["curve"]
    with pytest.raises(DataError, match=r"other: not of micro.bitmar, but of another model"):
        ship(out / "run", [tmp_path / "other.json"], tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert record["settings"]["precision"] == "bf16" and record["data"]["text_samples"] == 17
