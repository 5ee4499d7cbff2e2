# SPDX-License-Identifier: Apache-2.0
"""Training on what `bitmar-tiny corpus` put together."""

import json

import numpy as np
import pytest

from bitmar_tiny.data import corpora
from bitmar_tiny.data.collect import build
from bitmar_tiny.data.files import write_json, write_npy
from bitmar_tiny.errors import ConfigError, DataError
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
