# SPDX-License-Identifier: Apache-2.0
"""The paper's mixture from files: budgets, hold-out, epochs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support import TINY

from bitmar_tiny.arch.config import preset
from bitmar_tiny.data.corpora import file_corpus
from bitmar_tiny.errors import ConfigError
from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.train.record import same_run
from bitmar_tiny.train.run import settings_for


@pytest.fixture(scope="module")
def files(tmp_path_factory, gpt2):
    folder = tmp_path_factory.mktemp("files")
    (folder / "c.json").write_text(json.dumps([f"picture number {i}" for i in range(400)]))
    np.save(folder / "f.npy", np.zeros((400, 4, 768), np.uint8))
    (folder / "t.train").write_text("".join(f"line {i} of the text\n" for i in range(600)))
    return folder


def corpus(files, **options):
    cfg = TINY.model_copy(update={"vocab_size": 1000})
    return file_corpus(
        cfg, [files / "c.json"], [files / "f.npy"], [files / "t.train"], files / "data", **options
    )


def test_budgets_and_hold_out_in_tokens(files):
    c = corpus(files, caption_budget=1000, text_budget=2000, hold_out=600)
    held = c.caption_tokens.take(c.held_out).n_tokens, c.held_out_texts.n_tokens
    assert all(300 <= n < 400 for n in held)
    assert 1000 <= c.caption_tokens.take(c.train).n_tokens < 1100 and 2000 <= c.texts.n_tokens < 2100
    assert not set(c.train) & set(c.held_out) and not set(c.texts.starts) & set(c.held_out_texts.starts)
    captions, text = c.held_out_batches(batch_size=16, max_len=64)
    assert captions.n_captions == len(c.held_out) and text.n_text_streams == len(c.held_out_texts)
    mixture = c.mixture(batch_size=16, max_len=64, text_every=2, session_every=0, seed=0)
    assert mixture.batches_per_epoch == -(-(len(c.train) + len(c.texts)) // 16)


def test_without_a_hold_out_every_twentieth_picture_is_kept_back(files):
    c = corpus(files)
    assert (
        list(c.held_out) == list(range(0, 400, 20))
        and len(c.train) == 380
        and len(c.texts) == 600
        and len(c.held_out_texts) == 0
    )


def test_a_hold_out_that_leaves_nothing_is_refused(files):
    with pytest.raises(ConfigError, match="leaves no captions"):
        corpus(files, hold_out=10**6)


def test_the_papers_recipe():
    """Sections 3.4.2 and 4.1 to 4.3, and steps on the command line silence epochs."""
    t = settings_for(preset("paper"), None, {})
    assert (t.batch_size, t.accumulation, t.lr, t.restart_steps, t.restart_mult, t.min_lr, t.epochs) == (
        64,
        2,
        2e-4,
        1000,
        2,
        0.1,
        10,
    )
    assert (t.optimizer, t.precision, t.recompute, t.max_len, t.log_every) == (
        "adamw8bit",
        "fp16",
        True,
        256,
        500,
    )
    assert (t.contrastive_weight, t.memory_weight) == (1.5, 0.1) and t.controller
    assert (t.controller_span, t.controller_drop, t.controller_cooldown, t.controller_length) == (
        200,
        0.12,
        800,
        1500,
    )
    assert (t.caption_tokens, t.text_tokens, t.holdout_tokens) == (50_000_000, 50_000_000, 1_000_000)
    assert settings_for(preset("paper"), None, {"steps": 7}).epochs == 0


def test_runs_from_before_a_setting_existed_go_on(tmp_path):
    """What a run's record does not name had its default, or what runs did then."""
    settings = TrainConfig.for_preset("demo").model_dump(mode="json") | {
        "write_gradient": False,  # what runs did before it existed
        "optimizer": "adamw",
    }
    record = {"model": {"a": 1}, "training": settings, "tokenizer": "x", "pictures": 1, "text_samples": 1}
    old = {
        "seed",
        "steps",
        "batch_size",
        "accumulation",
        "lr",
        "weight_decay",
        "warmup",
        "restart_steps",
        "restart_mult",
        "min_lr",
        "clip",
        "dropout",
        "contrastive_weight",
        "contrastive_temperature",
        "memory_weight",
        "writes_per_batch",
        "text_every",
        "max_len",
        "augment_shift",
        "checkpoint_every",
        "float_twin",
    }
    there = record | {"training": {k: v for k, v in record["training"].items() if k in old}}
    now = record | {"sessions": 0}
    same_run(there, now, tmp_path)
    with pytest.raises(ConfigError, match="training.controller"):
        same_run(there, now | {"training": record["training"] | {"controller": True}}, tmp_path)
