# SPDX-License-Identifier: Apache-2.0
"""What a run reports: once per step, believable numbers, the pictures drawn from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support import TINY
from train.toy import MICRO, SETTINGS, Toy

from bitmar_tiny.arch.tables import tensor_table
from bitmar_tiny.data.corpus import CaptionSet
from bitmar_tiny.data.mixture import Mixture
from bitmar_tiny.data.tokenizer import EOS_TEXT, Tokenizer
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.evaluate.activations import compare_activations
from bitmar_tiny.model.bitmar import BitMar
from bitmar_tiny.train.curves import _millions, interventions, plot_training
from bitmar_tiny.train.feed import prepare
from bitmar_tiny.train.flops import forward_macs
from bitmar_tiny.train.holdout import look_at_holdout
from bitmar_tiny.train.logs import FILE, Log, read_log
from bitmar_tiny.train.loop import train
from bitmar_tiny.train.probe import Codes, effective_slots, gaussian_baseline, look_inside
from bitmar_tiny.train.trainer import Trainer

BYTES = Tokenizer([*(bytes([b]) for b in range(256)), EOS_TEXT], [])
RUN = SETTINGS.model_copy(update={"steps": 8, "log_every": 3, "controller": True})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run in two halves."""
    out = tmp_path_factory.mktemp("run")
    for steps in (4, 8):
        train(TINY, RUN.model_copy(update={"steps": steps}), Toy(TINY), out, progress=False, epoch_steps=16.0)
    return out


def test_every_line_is_there_once_and_says_everything(folder):
    lines = [r for r in read_log(folder) if r["kind"] == "step"]
    assert [r["step"] for r in lines] == [3, 4, 6, 8]
    for r in lines:
        assert r["epoch"] == r["step"] / 16 and r["loss"]["lm"] == pytest.approx(math.log(r["perplexity"]))
        assert (r["alignment"] is None) == (r["step"] == 4)  # step 4 was text alone
        assert (
            -1 <= (r["alignment"] or 0) <= 1
            and r["lr"] > 0
            and r["flops_per_step"] > 0
            and r["bytes"] > 1 << 20
        )
        assert r["codes"]["gaussian_baseline"] == pytest.approx(0.3101, abs=1e-3)
        assert (
            1 <= r["memory"]["written_slots"] <= TINY.memory_slots
            and 1 <= r["memory"]["read_slots"] <= TINY.memory_slots
        )
        assert len(r["memory"]["reads"]) == TINY.memory_slots and sum(r["memory"]["reads"]) == pytest.approx(
            1, abs=1e-3
        )
    assert lines[-1]["tokens"] == sum(int(Toy(TINY).batch(i).lengths.sum()) for i in range(8))


def test_tensorboard_has_the_numbers_and_the_attention(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder / "logs"))
    board.Reload()
    assert {
        "loss/lm",
        "alignment",
        "codes/zero_fraction",
        "memory/read_slots",
        "flops_per_step",
        "tokens_per_second",
        "bytes",
    } <= set(board.Tags()["scalars"])
    # Two stretches begun within one second are read in the order of their files' names, 10 before 9.
    assert sorted(e.step for e in board.Scalars("loss/lm")) == [3, 4, 6, 8]
    assert board.Tags()["images"] == ["attention"]


def test_a_line_cut_short_by_a_kill_is_left_out_and_later_ones_are_dropped(tmp_path):
    with Log(tmp_path, 0, {}) as log:
        for step in (1, 2, 3):
            log.write("step", step, loss={"lm": 1.0})
    with open(tmp_path / FILE, "a") as f:
        f.write('{"kind": "step", "st')
    assert [r["step"] for r in read_log(tmp_path)] == [1, 2, 3]
    with Log(tmp_path, 2, {}) as log:
        log.write("step", 3, loss={"lm": 2.0})
    assert [(r["step"], r["loss"]["lm"]) for r in read_log(tmp_path)] == [(1, 1.0), (2, 1.0), (3, 2.0)]
    with pytest.raises(DataError, match="no training log"):
        read_log(tmp_path / "nowhere")


def test_plots(folder, tmp_path):
    log = read_log(folder)
    log += [
        {"kind": "intervention", "step": 5, "event": "begin", "action": "freeze_text"},
        {"kind": "intervention", "step": 7, "event": "end", "action": "freeze_text"},
        {"kind": "intervention", "step": 8, "event": "begin", "action": "boost_alignment"},
        {"kind": "holdout", "step": 8, "alignment": 0.1, "text": {"perplexity": 9.0, "tokens": 5}},
    ]
    assert interventions(log) == [(5, 7, "freeze_text"), (8, 8, "boost_alignment")]
    svg, zero = plot_training(log, tmp_path)
    text = svg.read_text()
    assert "freeze_text" in text and "boost_alignment" in text and "<svg" in zero.read_text()
    for words in ("tokens, millions", "perplexity", "held-out text", "zero fraction", "written", "read"):
        assert words in text
    assert [p.suffix for p in plot_training(log, tmp_path, "png")] == [".png", ".png"] and plot_training(
        [], tmp_path
    ) == []


def test_steps_are_drawn_where_their_tokens_are():
    read = _millions([{"step": 10, "tokens": 2_000_000}, {"step": 20, "tokens": 6_000_000}])
    assert [read(s) for s in (0, 5, 10, 15, 20, 21)] == [0, 1, 2, 4, 6, 6]


def test_looking_changes_nothing():
    trainer = Trainer(TINY, SETTINGS)
    trainer.advance([prepare(Toy(TINY).batch(0))])
    before, random = {k: v.clone() for k, v in trainer.model.state_dict().items()}, torch.get_rng_state()
    feed = prepare(Toy(TINY).batch(0))
    memory, maps = look_inside(trainer.model, feed)
    assert list(maps) == ["encoder 0", "fusion 0", "decoder 0", "decoder 1"]
    for name, m in maps.items():
        rows = int(feed.lengths[0])
        assert np.allclose(m[:, :rows].sum(-1), 1, atol=1e-5) and (
            name.startswith("fusion") or (np.triu(m[0], 1) == 0).all()
        )
    assert (
        trainer.model.training
        and trainer.model.math.maps is None
        and torch.equal(random, torch.get_rng_state())
    )
    assert all(torch.equal(v, before[k]) for k, v in trainer.model.state_dict().items())


def test_changed_codes_are_counted_over_a_thousand_steps():
    trainer, codes = Trainer(MICRO, SETTINGS), Codes()
    size = sum(s.parameters for s in tensor_table(MICRO) if s.kind == "ternary")
    latent = trainer.model.latent["vision/w1"].data.view(-1)
    latent[:] = 1.0
    latent[:4] = 0.0  # codes 0 that become 1, one after the other
    assert codes.look(trainer.model, 0)["changed"] is None
    for i, step in enumerate((400, 800, 1200, 1600)):
        latent[i] = 1.0
        report = codes.look(trainer.model, step)
        assert report["changed"] == pytest.approx(1 / size)
        assert report["changed_per_1000_steps"] == (pytest.approx(3 / size / 1.2) if step == 1200 else None)


def test_figures_that_can_be_worked_out():
    assert gaussian_baseline(2 / 3) == pytest.approx(0.4052, abs=2e-4) and gaussian_baseline(
        0.5
    ) == pytest.approx(0.3101, abs=2e-4)
    w = np.random.default_rng(0).normal(size=10**6)
    assert np.mean(np.abs(w) <= 0.5 * np.abs(w).mean()) == pytest.approx(gaussian_baseline(0.5), abs=2e-3)
    assert effective_slots(np.ones(7)) == pytest.approx(7) and effective_slots(
        np.array([0, 3.0, 0])
    ) == pytest.approx(1)
    ternary = sum(
        s.parameters
        for s in tensor_table(MICRO)
        if s.kind == "ternary" and s.part in ("encoder", "decoder", "head")
    )
    one = forward_macs(
        MICRO, np.array([1]), False
    )  # one token: its matrices, one attended token in two layers, one read
    d, k = MICRO.d_model, MICRO.memory_slots
    assert one == ternary + 2 * 2 * d + 2 * k * d


def test_holdout_is_the_whole_of_it_and_exact_equals_golden_arithmetic():
    rng = np.random.default_rng(0)
    captions = CaptionSet(
        [f"a {i}" * (1 + i % 3) for i in range(11)], rng.normal(size=(11, 4, 768)).astype(np.float32)
    )
    torch.manual_seed(0)
    model = BitMar(TINY).eval()
    mixtures = [
        Mixture(
            BYTES, captions, None, ["some text", "more of it"], batch_size=n, max_len=16, text_every=every
        )
        for n, every in ((4, 0), (2, 1))
    ]
    report = look_at_holdout(model, mixtures, exact=True)
    assert (
        report["captions"]["tokens"] == sum(min(len(c) + 1, 16) for c in captions.captions)
        and report["text"]["tokens"] == 21
    )
    nll, cosine = 0.0, 0.0
    for i, caption in enumerate(captions.captions):
        ids = [256, *caption.encode(), 256][:17]
        with torch.no_grad():
            out = model(torch.tensor([ids[:-1]]), torch.from_numpy(captions.image(i))[None])
        nll += torch.nn.functional.cross_entropy(out.logits[0], torch.tensor(ids[1:]), reduction="sum").item()
        cosine += torch.cosine_similarity(out.text[0].mean(0), out.image[0].mean(0), dim=0).item() / 11
    assert report["captions"]["perplexity"] == pytest.approx(
        math.exp(nll / report["captions"]["tokens"]), rel=1e-5
    )
    assert report["alignment"] == pytest.approx(cosine, abs=1e-5)
    both = compare_activations(model, mixtures)
    assert (
        both["quantised"] == report
        and both["ratio"]["captions"] == pytest.approx(1, abs=0.03)
        and both["float_activations"] != report
    )
    with pytest.raises(ConfigError, match="float twin"):
        compare_activations(BitMar(TINY, float_twin=True), mixtures)


def test_a_loss_that_is_no_number_stops_with_a_sentence(tmp_path):
    class Bad(Toy):
        def batch(self, step, rows=slice(None)):
            b = super().batch(step, rows)
            if b.images is not None and step == 4:
                b.images[0, 0, 0] = np.nan
            return b

    with pytest.raises(ConfigError, match="no longer a number at step 5"):
        train(MICRO, SETTINGS, Bad(MICRO), tmp_path, progress=False)
    from bitmar_tiny.train import checkpoint

    assert checkpoint.load(tmp_path)["step"] == 4


def test_weights_and_biases_offline(tmp_path):
    pytest.importorskip("wandb", reason="Weights & Biases is not installed: pip install wandb")
    train(MICRO, SETTINGS, Toy(MICRO), tmp_path, progress=False, wandb="offline")
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_weights_and_biases_missing_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(ConfigError, match="not installed.*pip install wandb"):
        train(MICRO, SETTINGS, Toy(MICRO), tmp_path, progress=False, wandb="offline")
