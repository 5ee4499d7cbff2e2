# SPDX-License-Identifier: Apache-2.0
"""A model that was trained on the vectors of a backbone carries its record, and sees through one alone."""

from __future__ import annotations

import json

import pytest
from eval_support import byte_tokenizer
from support import TINY
from taught_support import SOME_BACKBONE
from things_support import save_features, save_shapes

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.data.backbone_record import FILE, UNKNOWN, read_record
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.run.look import backbone_of
from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.train.corpus import run_corpus
from bitmar_tiny.train.run import freeze_run, train_run

CFG = ModelConfig.parse(
    TINY.model_dump() | {"image_tokens": 1, "image_pool": 1, "write_rule": "keyed", "window": 46}, "test"
)
SETTINGS = TrainConfig(
    steps=1, batch_size=2, accumulation=1, session_every=1, text_every=1, writes_per_batch=0, max_len=40,
    contrastive_weight=0.0, session_things=(2, 2), session_texts=0, threads=1,
)  # fmt: skip


def corpus(folder, *things):
    data = {"folder": str(folder / "run" / "data"), "things": [str(t) for t in things]}
    return run_corpus(CFG, SETTINGS, data, tokenizer=byte_tokenizer())


@pytest.mark.parametrize("made_by, kept", [(SOME_BACKBONE, SOME_BACKBONE), (None, UNKNOWN)])
def test_the_record_goes_from_the_features_into_the_model(tmp_path, made_by, kept):
    found = corpus(tmp_path, save_features(tmp_path / "f", backbone=made_by))
    cfg = CFG.model_copy(update={"vocab_size": found.tokenizer.vocab_size})
    train_run(cfg, SETTINGS, found, tmp_path / "run", progress=False)
    model = freeze_run(tmp_path / "run")
    assert backbone_of(model) == kept
    model.save(tmp_path / "m.bitmar")
    assert backbone_of(type(model).load(tmp_path / "m.bitmar")) == kept


def test_things_are_seen_in_one_way(tmp_path):
    """The same backbone by another name will do."""
    same = SOME_BACKBONE.model_copy(update={"file": "copy.onnx", "sha256": ("cd" * 32, "ab" * 32)})
    other = SOME_BACKBONE.model_copy(update={"file": "other.onnx", "sha256": ("ef" * 32,)})
    one, copy, another, nobody = (
        save_features(tmp_path / name, backbone=made)
        for name, made in (("one", SOME_BACKBONE), ("copy", same), ("other", other), ("nobody", None))
    )
    assert corpus(tmp_path, one, copy).backbone == SOME_BACKBONE
    for second, said in (
        (another, "through colours.onnx .* through other.onnx"),
        (nobody, "through colours.onnx .*nobody recorded which"),
        (save_shapes(tmp_path / "pictures"), "through colours.onnx .*, and pictures as pixels"),
    ):
        with pytest.raises(ConfigError, match=f"seen in two ways: features {said}"):
            corpus(tmp_path, one, second)
    for changed in ({"size": 8}, {"vectors": 4}, {"mean": (1, 0, 0)}, {"outputs": ("z",)}):
        assert not SOME_BACKBONE.same(SOME_BACKBONE.model_copy(update=changed))


def test_a_damaged_record_is_refused(tmp_path):
    folder = save_features(tmp_path / "f", backbone=SOME_BACKBONE)
    for text in ('{"backbone": 3}', '{"backbone": {"label": "a"}}', "{"):
        (folder / FILE).write_text(text)
        with pytest.raises(DataError, match=FILE):
            read_record(folder)
    (folder / FILE).write_text(json.dumps({"label": "of before"}))
    assert read_record(folder) == UNKNOWN
