# SPDX-License-Identifier: Apache-2.0
"""Options that buy speed or memory change a step by rounding at most."""

from __future__ import annotations

import pytest
import torch
from support import TINY
from train.toy import SETTINGS, Toy

from bitmar_tiny.train.feed import prepare
from bitmar_tiny.train.head_loss import BLOCK
from bitmar_tiny.train.optim import make_optimiser
from bitmar_tiny.train.trainer import Trainer


def gradients(**changes):
    """Latent gradients and losses of the third step: captions, text, captions."""
    trainer = Trainer(TINY, SETTINGS.model_copy(update={"dropout": 0.0, "clip": 1e9, "lr": 1e-4} | changes))
    for i in range(3):
        parts = trainer.advance([prepare(Toy(TINY).batch(i))])
    return parts, {n: p.grad.clone() for n, p in trainer.model.latent.items()}


@pytest.fixture(scope="module")
def plain():
    return gradients()


def test_gradient_checkpointing_changes_nothing_but_sums_in_pieces(plain, monkeypatch):
    """Blocks computed again give the same bits; the head in pieces adds the loss in another order."""
    monkeypatch.setitem(BLOCK, "cpu", 7 * TINY.vocab_size)
    parts, grads = gradients(recompute=True)
    assert parts["lm"] == pytest.approx(plain[0]["lm"], rel=1e-5)
    for name, grad in grads.items():
        assert torch.allclose(
            grad, plain[1][name], rtol=1e-3, atol=1e-3 * plain[1][name].abs().max().item()
        ), name


@pytest.mark.parametrize("precision, bound", [("bf16", 0.05), ("fp16", 0.02)])
def test_mixed_precision_points_the_same_way(plain, precision, bound):
    """Losses within 1%, and the whole gradient within an angle: 16-bit products round, nothing overflows or
    vanishes.
    """
    parts, grads = gradients(precision=precision)
    assert parts["lm"] == pytest.approx(plain[0]["lm"], rel=1e-2) and parts["contrastive"] == pytest.approx(
        plain[0]["contrastive"], rel=0.05
    )
    a, b = (torch.cat([g[n].flatten() for n in sorted(g)]) for g in (plain[1], grads))
    assert 1 - torch.cosine_similarity(a, b, dim=0) < bound
    assert all(g.isfinite().all() and g.abs().max() > 0 for g in grads.values())


def test_worst_products_fit_float16():
    """All codes 127, all trits 1, the longest reduction that a configuration allows: finite in float16."""
    from bitmar_tiny.arch.config import MAX_REDUCTION
    from bitmar_tiny.model.arithmetic import PROB_ONE, Quantised

    math = Quantised(0.5, torch.float16)
    assert math.linear(
        torch.full((1, MAX_REDUCTION), 127.0), torch.ones(1, MAX_REDUCTION)
    ).item() == pytest.approx(127 * MAX_REDUCTION, rel=1e-3)
    wide = torch.full((1, 128), 127.0)
    assert math.matmul(wide, wide.T).item() == pytest.approx(127 * 127 * 128, rel=1e-3)
    assert math.matmul(
        torch.full((1, 1032), PROB_ONE), torch.full((1032, 1), 127.0), PROB_ONE
    ).item() == pytest.approx(PROB_ONE * 127 * 1032, rel=1e-3)


def test_mixed_precision_resumes_with_its_scaler(tmp_path):
    from bitmar_tiny.train import checkpoint
    from bitmar_tiny.train.loop import train

    cfg = SETTINGS.model_copy(update={"precision": "fp16", "recompute": True})
    train(TINY, cfg, Toy(TINY), tmp_path / "whole", progress=False)
    for steps in (3, 6):
        train(TINY, cfg.model_copy(update={"steps": steps}), Toy(TINY), tmp_path / "run", progress=False)
    whole, run = (checkpoint.load(tmp_path / name) for name in ("whole", "run"))
    assert whole["scaler"] == run["scaler"] and whole["scaler"]["scale"] > 0
    assert all(torch.equal(whole["model"][k], run["model"][k]) for k in whole["model"])


def test_eight_bit_moments_or_the_reason_why_not():
    """What the log says is what is used: a library's 8-bit AdamW where one is installed, else PyTorch's with
    the reason.
    """
    trainer = Trainer(TINY, SETTINGS)
    optimiser, name = make_optimiser(trainer.model, SETTINGS.model_copy(update={"optimizer": "adamw8bit"}))
    if type(optimiser) is torch.optim.AdamW:
        assert "neither bitsandbytes nor torchao works here" in name
    else:
        assert type(optimiser).__name__ == "AdamW8bit" and "adamw8bit" in name
    assert make_optimiser(trainer.model, SETTINGS)[1] == "adamw"
