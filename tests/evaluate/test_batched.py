# SPDX-License-Identifier: Apache-2.0
"""Sessions that PyTorch asks in batches are golden's, bit for bit; and what a restart leaves of a memory."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_line import run as run_cli
from eval_support import byte_tokenizer
from things_support import shapes
from train.toy import MICRO

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.data.show_once import UNKNOWN, draw_texts
from bitmar_tiny.data.things.table import TRAIN, save_things
from bitmar_tiny.errors import ConfigError
from bitmar_tiny.evaluate.askers import RunningAsker
from bitmar_tiny.evaluate.batched import BatchedAsker
from bitmar_tiny.evaluate.show_once import ask_trials, measure_show_once
from bitmar_tiny.evaluate.subject import Subject
from bitmar_tiny.frozen import FrozenModel, random_model
from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.run.golden import GoldenSession


def keyed(**changed) -> ModelConfig:
    settings = {
        "name": "keyed",
        "window": 62,
        "n_positions": 64,
        "image_tokens": 1,
        "vision_channels": (6, 5, 4, 7),
        "memory_slots": 70,
        "write_rule": "keyed",
        "read_every": 2,
        "match": 0.9,
    }
    return ModelConfig(**MICRO.model_dump() | settings | changed)


def model_of(cfg: ModelConfig, seed: int = 1) -> FrozenModel:
    model = random_model(cfg, seed)
    return FrozenModel(cfg, model.arrays, byte_tokenizer().to_bytes(), model.provenance)


@pytest.mark.parametrize("cfg", [keyed(), keyed(read_every=1, vision_channels=None, memory_fixed=0)])
def test_a_batch_is_golden_bit_for_bit(cfg):
    """Slots that are taken in turn out of two blocks, keys that match, texts of several lengths."""
    model, tokenizer, things = model_of(cfg), byte_tokenizer(), shapes()
    pair = [
        BatchedAsker(model, tokenizer, things.pictures),
        RunningAsker(GoldenSession(model), model, tokenizer, things.pictures),
    ]
    rng = np.random.default_rng(0)
    told = [
        [(int(rng.integers(72)), f"It is {i % 9}.") if i % 3 else (None, f"Rain {i}.") for i in range(n)]
        for n in (30, 5)
    ]
    batched, golden = (asker.teach(told) for asker in pair)
    again = [[(3, "This is a new one.")], []]
    more = [asker.teach(again, before) for asker, before in zip(pair, (batched, golden), strict=True)]
    for ours, theirs in ((batched, golden), more):
        for a, b in zip(ours.memories, theirs, strict=True):
            assert np.array_equal(nm.codes_of(a.keys, a.values), b.codes)
            assert np.array_equal(a.scales, b.scales) and np.array_equal(a.usage, b.usage)
        for memory in (True, False):
            written = [
                asker.answers(t, [1, 70], memory) for asker, t in zip(pair, (ours, theirs), strict=True)
            ]
            assert written[0] == written[1]
        some = [[" a dax.", " no"], [UNKNOWN, " a wug."]]
        scored = [asker.scores(t, [1, 70], some) for asker, t in zip(pair, (ours, theirs), strict=True)]
        assert np.allclose(*scored, rtol=1e-12)  # of the same logits
        doubted = [asker.doubts(t, [1, 70]) for asker, t in zip(pair, (ours, theirs), strict=True)]
        assert np.allclose(*doubted, rtol=1e-9) if cfg.fixed_slots else doubted == [None, None]


def test_all_figures_are_those_of_golden():
    model, tokenizer, things = model_of(keyed()), byte_tokenizer(), shapes()
    trials = things.trials(TRAIN, "another view", 3, 3, 1)
    found = [
        ask_trials(asker, trials, after=2)
        for asker in (
            BatchedAsker(model, tokenizer, things.pictures),
            RunningAsker(GoldenSession(model), model, tokenizer, things.pictures),
        )
    ]
    assert found[0] == found[1]


def test_a_hundred_things_and_a_hundred_texts_fit_into_256_slots():
    model, tokenizer = model_of(keyed(memory_slots=256, match=1.0)), byte_tokenizer()
    pictures = np.random.default_rng(0).integers(0, 256, (100, 1, 768)).astype(np.uint8)
    asker, rng = BatchedAsker(model, tokenizer, pictures), np.random.default_rng(0)
    told = [[(i, f"Thing {i}.") for i in range(100)], draw_texts(rng, 100)]
    session = [*told[0], *((None, text) for text in told[1])]
    (memory,) = asker.teach([session]).memories
    kept = {(key.tobytes(), value.tobytes()) for key, value in zip(memory.keys, memory.values, strict=True)}
    (shown,) = asker.teach([told[0]]).memories
    of_things = np.flatnonzero(shown.usage > nm.USAGE_ONE - 100)
    assert len(of_things) > 90  # of noise, some keys may be equal
    assert all((shown.keys[i].tobytes(), shown.values[i].tobytes()) in kept for i in of_things)


def test_a_store_keeps_what_was_shown(tmp_path):
    """Golden, off and on between showing and asking: nothing changes but where the memory was."""
    model, things = model_of(keyed()), shapes()
    model.save(tmp_path / "m.bitmar")
    save_things(tmp_path / "things", things, {})
    trials = things.trials(TRAIN, "another view", 2, 2, 1)
    with Subject(tmp_path / "m.bitmar", "golden", True).opened() as opened:
        asker = opened(things.pictures)
        assert asker.running.memory_tier == "sd"
        told = [[(0, "This is a dax.")]]
        kept = asker.teach(told)
        assert np.array_equal(kept[0].codes, asker.running.store.read().codes)
        restarted = ask_trials(asker, trials)
    plain = RunningAsker(GoldenSession(model), model, byte_tokenizer(), things.pictures)
    assert np.array_equal(kept[0].codes, plain.teach(told)[0].codes)
    assert restarted == ask_trials(plain, trials)
    with pytest.raises(ConfigError, match="in no store"):
        RunningAsker(GoldenSession(model), model, byte_tokenizer(), things.pictures, restart=True)


def test_the_command_restarts_and_says_who_answered(tmp_path):
    model_of(keyed()).save(tmp_path / "m.bitmar")
    save_things(tmp_path / "things", shapes(), {})
    task = (tmp_path / "m.bitmar", "--task", "show-once", "--things", tmp_path / "things", "--shown", "2")
    for more, on in ((("--restart",), "golden"), (("--on", "torch"), "torch")):
        report = json.loads(run_cli("holdout", *task, "--limit", "2", "--json", *more).stdout)
        assert report["on"] == on and report["exact"] and report["rows"][0]["generated"]["of"] == 2
    assert run_cli("holdout", *task, "--limit", "1", "--figure", tmp_path / "s.svg").returncode == 0
    assert "<image" in (tmp_path / "s.svg").read_text()
    refused = run_cli("holdout", *task, "--restart", "--on", "torch")
    assert refused.returncode == 2 and "in no store" in refused.stderr
    bounded = MICRO.model_copy(update={"image_tokens": 1})
    model_of(bounded).save(tmp_path / "b.bitmar")
    with pytest.raises(ConfigError, match="only where its memory is keyed"):
        measure_show_once(tmp_path / "b.bitmar", [tmp_path / "things"], shown=(2,), sessions=1, on="torch")


def test_a_program_answers_what_its_store_kept(tmp_path):
    """The generated program on this machine, its process ended and started anew."""
    model = model_of(keyed())
    model.save(tmp_path / "m.bitmar")
    save_things(tmp_path / "things", shapes(), {})
    told = {
        on: measure_show_once(
            tmp_path / "m.bitmar", [tmp_path / "things"], shown=(2,), sessions=3, on=on, restart=restart
        )["rows"][0]
        for on, restart in (("host", True), ("torch", False))
    }
    for key in ("generated", "off", "another", "unknown", "doubted", "shuffled", "choice"):
        assert told["host"][key] == told["torch"][key]
