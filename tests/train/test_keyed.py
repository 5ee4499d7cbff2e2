# SPDX-License-Identifier: Apache-2.0
"""A keyed memory learns from sessions of made-up things: shown once with a name made up for the session, it
says the name when it sees the thing again.
"""

from __future__ import annotations

import numpy as np
import torch

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.data.mixture import Batch
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.model.bitmar import BitMar
from bitmar_tiny.model.export import freeze
from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.train.feed import prepare
from bitmar_tiny.train.losses import Objective
from bitmar_tiny.train.optim import make_optimiser
from bitmar_tiny.train.schedule import learning_rate

NAMES, THINGS, STREAMS, STEPS = 10, 3, 32, 150
EOS = NAMES
CONFIG = ModelConfig(
    name="toy",
    vocab_size=NAMES + 1,
    d_model=32,
    n_heads=2,
    n_encoder_layers=1,
    n_decoder_layers=1,
    d_ffn=32,
    n_sinks=1,
    window=3,
    n_positions=4,
    vision_hidden=32,
    image_tokens=1,
    memory_slots=8,
    read_every=1,
    write_rule="keyed",
)
SETTINGS = TrainConfig(
    steps=STEPS,
    restart_steps=STEPS,
    batch_size=STREAMS,
    accumulation=1,
    optimizer="muon",
    lr=1e-2,
    min_lr=0.05,
    warmup=20,
    weight_decay=0.0,
    contrastive_weight=0.0,
    writes_per_batch=0,
    key_weight=1.0,
)


def streams(names: np.ndarray, pictures: np.ndarray, **more) -> Batch:
    """Episodes of a picture and a name."""
    n, eos = len(names), np.full(len(names), EOS)
    tokens, labels = np.stack([eos, names], 1), np.stack([names, eos], 1)
    there = np.ones(n, bool)
    return Batch(tokens, labels, np.full(n, 2), pictures[:, None], there, np.arange(n), **more)


def batch(seed: int, count: int = STREAMS) -> Batch:
    """Sessions of things that are vectors of signs, each seen twice with other noise."""
    rng = np.random.default_rng(seed)

    def seen(things: np.ndarray) -> np.ndarray:
        return (things + 0.5 * rng.normal(size=things.shape)).astype(np.float32)

    things = np.sign(rng.normal(size=(count, THINGS, 768)))
    names = np.stack([rng.permutation(NAMES)[:THINGS] for _ in range(count)])
    asked, rows = rng.integers(0, THINGS, count), np.arange(count)
    told = streams(names.ravel(), seen(things).reshape(-1, 768))
    return streams(names[rows, asked], seen(things[rows, asked]), before=told, target=asked)


def trained() -> BitMar:
    torch.manual_seed(0)
    model = BitMar(CONFIG).train()
    objective, (optimiser, _) = Objective(model, SETTINGS), make_optimiser(model, SETTINGS)
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(SETTINGS, step)
        loss, _, _ = objective(prepare(batch(step)))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS.clip)
        optimiser.step()
    return model.eval()


def test_it_says_the_name_of_what_it_was_shown_once():
    """In golden, episode by episode, of things and names that were never in training."""
    frozen, count = freeze(trained()), 40
    golden = GoldenModel(CONFIG, frozen.arrays)
    fresh = golden.m_codes.copy(), golden.m_scales.copy(), golden.m_usage.copy()
    asked, right = batch(10**6, count), {True: 0, False: 0}
    told = asked.before
    for i in range(count):
        golden.m_codes, golden.m_scales, golden.m_usage = (a.copy() for a in fresh)
        golden.memory_on = True
        for k in range(i * THINGS, (i + 1) * THINGS):
            golden.begin_episode()
            golden.set_image(told.images[k])
            for token in told.tokens[k]:
                golden.step(int(token))
            golden.end_episode()
        for golden.memory_on in (True, False):
            golden.begin_episode()
            golden.set_image(asked.images[i])
            right[golden.memory_on] += int(np.argmax(golden.step(EOS))) == asked.labels[i, 0]
    assert right[True] > 0.6 * count and right[False] < 0.3 * count, right
