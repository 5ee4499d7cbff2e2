# SPDX-License-Identifier: Apache-2.0
"""The optimiser that is our own."""

from __future__ import annotations

import torch
from support import TINY
from train.toy import SETTINGS, Toy

from bitmar_tiny.train.feed import Feeder
from bitmar_tiny.train.optim import orthogonal
from bitmar_tiny.train.trainer import Trainer


def test_muon_moves_matrices_along_every_direction_alike():
    """Singular values near 1 for any shape, a step of the same size for every matrix, and none without a
    gradient.
    """
    torch.manual_seed(0)
    for shape in ((16, 16), (48, 8), (8, 48)):
        u, _, v = torch.linalg.svd(torch.randn(3, *shape), full_matrices=False)
        values = torch.linalg.svdvals(orthogonal(u * torch.logspace(0, -1, min(shape)) @ v))
        assert 0.3 < values.min() and values.max() < 1.3
    trainer = Trainer(TINY, SETTINGS.model_copy(update={"optimizer": "muon", "weight_decay": 0.0}))
    latent = trainer.model.latent
    before = {name: p.detach().clone() for name, p in latent.items()}
    for name, p in latent.items():
        p.grad = None if name == "enc/0/wq" else torch.randn_like(p)
    trainer.optimiser.step()
    moved = {name: (p - before[name]).square().mean().sqrt().item() for name, p in latent.items()}
    assert moved["enc/0/wq"] == 0
    rate = trainer.optimiser.RMS * SETTINGS.lr
    for name in ("enc/0/w1", "enc/0/w2", "enc/0/wo", "vision/w1"):
        assert 0.3 * rate < moved[name] < 1.3 * rate, name


def test_muon_resumes_with_its_momentum(tmp_path):
    whole, run = (Trainer(TINY, SETTINGS.model_copy(update={"optimizer": "muon"})) for _ in range(2))
    feeder = Feeder(Toy(TINY), SETTINGS)
    for step in range(4):
        whole.advance([feeder.make(step)])
        run.advance([feeder.make(step)])
        fresh = Trainer(TINY, run.cfg)
        fresh.restore(run.state(), tmp_path)
        run = fresh
    assert all(torch.equal(p, run.model.latent[name]) for name, p in whole.model.latent.items())
