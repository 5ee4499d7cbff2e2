# SPDX-License-Identifier: Apache-2.0
"""Training: resumable to the bit, atomic, and codes that really move."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from eval_support import byte_tokenizer
from support import TINY
from train.toy import SETTINGS, Toy

from bitmar_tiny.data.batch import Batch
from bitmar_tiny.data.mixture import Mixture
from bitmar_tiny.data.sessions import Session, Sessions
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.model.bitmar import BitMar
from bitmar_tiny.train import SPINS, checkpoint
from bitmar_tiny.train.augment import distort_patches, mirror_patches, shift_patches, tint_patches
from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.train.distributed import World
from bitmar_tiny.train.feed import Feeder, prepare
from bitmar_tiny.train.loop import train
from bitmar_tiny.train.probe import Codes
from bitmar_tiny.train.schedule import learning_rate
from bitmar_tiny.train.threads import keep_freed_memory
from bitmar_tiny.train.trainer import Trainer
from bitmar_tiny.verify.script import random_image

SMALL = SETTINGS.model_copy(update={"augment_shift": 1})


def state_of(model: BitMar) -> dict[str, np.ndarray]:
    return {k: v.numpy().copy() for k, v in model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert np.array_equal(a[key].view(np.uint8), b[key].view(np.uint8)), key


def test_resuming_continues_bit_identically(tmp_path):
    whole = state_of(train(TINY, SMALL, Toy(TINY), tmp_path / "a", progress=False))
    half = SMALL.model_copy(update={"steps": 3})
    train(TINY, half, Toy(TINY), tmp_path / "b", progress=False)
    assert_same(whole, state_of(train(TINY, SMALL, Toy(TINY), tmp_path / "b", progress=False)))


def test_threads_do_not_change_a_bit():
    """A batch large enough for PyTorch to share out: gradients of rows that many tokens use must not be raced
    for.
    """
    rng, threads = np.random.default_rng(3), torch.get_num_threads()
    cfg = TINY.model_copy(update={"d_model": 128, "n_heads": 4, "d_ffn": 512, "n_positions": 32})
    tokens, images = rng.integers(0, 257, (64, 24)), np.stack([random_image(cfg, rng) for _ in range(64)])
    lengths = rng.integers(3, 25, 64)
    labels = np.where(np.arange(24) < lengths[:, None], np.roll(tokens, -1, 1), -100)
    batch = Batch(tokens, labels, lengths, images, np.ones(64, bool), np.arange(64))

    class Same:
        def batch(self, step: int) -> Batch:
            return batch

    def few_steps() -> dict[str, np.ndarray]:
        trainer = Trainer(cfg, SETTINGS.model_copy(update={"dropout": 0.0}))
        for _ in range(4):
            trainer.advance([prepare(Same().batch(0))])
        return state_of(trainer.model)

    torch.set_num_threads(4)
    try:
        first = few_steps()
        for _ in range(3):
            assert_same(first, few_steps())
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "damage", [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"not a checkpoint" * 9]
)
def test_a_damaged_checkpoint_is_one_sentence(tmp_path, damage):
    train(TINY, SETTINGS.model_copy(update={"steps": 1}), Toy(TINY), tmp_path, progress=False)
    path = tmp_path / checkpoint.FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="damaged or not a checkpoint"):
        train(TINY, SETTINGS, Toy(TINY), tmp_path, progress=False)


def test_a_checkpoint_of_another_model(tmp_path):
    train(TINY, SETTINGS.model_copy(update={"steps": 1}), Toy(TINY), tmp_path, progress=False)
    other = TINY.model_copy(update={"d_ffn": 64})
    with pytest.raises(DataError, match="another model"):
        train(other, SETTINGS, Toy(TINY), tmp_path, progress=False)


def test_every_parameter_learns_ternary_codes_change_and_loss_falls():
    """In the loop itself, with its losses, memory writes and both kinds of batches: within 50 steps."""
    cfg = SETTINGS.model_copy(update={"steps": 50, "restart_steps": 50, "dropout": 0.0})
    trainer, codes, seen, losses = Trainer(TINY, cfg), Codes(), set(), []
    codes.look(trainer.model, 0)
    before = {n: trainer.model.matrix(n)[0].clone() for n in ("enc.0.wq", "dec.1.w2", "vision.w1", "head.w")}
    with Feeder(Toy(TINY, repeat=2), cfg) as feeder:
        for _ in range(50):
            losses.append(trainer.advance([feeder.next()])["lm"])
            seen |= {
                n for n, p in trainer.model.latent.items() if p.grad is not None and p.grad.abs().max() > 0
            }
    assert seen == set(trainer.model.latent.keys())
    assert np.mean(losses[-6:]) < 0.6 * np.mean(losses[:6])
    assert codes.look(trainer.model, 50)["changed"] > 0.01
    for name, trits in before.items():
        assert (trainer.model.matrix(name)[0] != trits).float().mean() > 0.01, name


def test_cosine_restarts():
    cfg = TrainConfig(lr=1.0, warmup=0, restart_steps=10, restart_mult=2, min_lr=0.1)
    rates = [learning_rate(cfg, s) for s in range(70)]
    assert [s for s in range(70) if rates[s] == 1.0] == [0, 10, 30]
    assert min(rates) >= 0.1 and rates[29] < 0.12 and rates[20] == pytest.approx(0.55)


def test_shifting_is_pure_and_keeps_pixels():
    images = np.random.default_rng(0).uniform(-1, 1, (6, 16, 768)).astype(np.float32)
    a, b = (shift_patches(images, 2, (1, 7)) for _ in range(2))
    assert np.array_equal(a, b) and not np.array_equal(a, images)
    assert np.isin(a, images).all() and np.array_equal(shift_patches(images, 0, (1,)), images)


def test_turning_is_pure_keeps_white_and_does_not_ask_which_rows():
    images = np.full((6, 21, 768), 1, np.float32)
    images[:, :4, 100:300] = np.random.default_rng(0).uniform(-1, 1, (6, 4, 200)).astype(np.float32)
    a, b = (distort_patches(images, 0.1, (1, 7)) for _ in range(2))
    assert a.shape == images.shape and np.array_equal(a, b) and not np.allclose(a, images, atol=0.1)
    assert a.min() >= -1.001 and a.max() <= 1.001 and np.allclose(a[:, 15], 1)
    part = distort_patches(images[2:4], 0.1, (1, 7), np.array([2, 3]), 6)
    assert np.allclose(part, a[2:4], atol=1e-6)
    assert np.array_equal(distort_patches(images, 0, (1,)), images)


def test_colours_change_white_stays_and_no_row_asks_for_another():
    images = np.random.default_rng(0).random((6, 4, 768), np.float32)
    images[:, 0] = 1
    a, b = (tint_patches(images, 0.2, (1, 7)) for _ in range(2))
    assert np.array_equal(a, b) and not np.array_equal(a, images) and a.min() >= 0 and a.max() <= 1
    assert (a[:, 0] == 1).all() and len({float(x) for x in (1 - a[0, 1]) / (1 - images[0, 1])}) > 1
    part = tint_patches(images[2:4], 0.2, (1, 7), np.array([2, 3]), 6)
    assert np.array_equal(part, a[2:4]) and np.array_equal(tint_patches(images, 0, (1,)), images)


def test_pictures_are_mirrored_and_turned_in_all_eight_ways():
    pixels = np.arange(32 * 32 * 3, dtype=np.float32).reshape(1, 32, 32, 3)
    patches = pixels.reshape(1, 2, 16, 2, 16, 3).transpose(0, 1, 3, 2, 4, 5).reshape(1, 4, 768)
    found = mirror_patches(np.repeat(patches, 8, 0), np.arange(8))
    assert len({f.tobytes() for f in found}) == 8 and np.array_equal(found[0], patches[0])
    assert all(np.array_equal(np.sort(f, None), np.sort(patches[0], None)) for f in found)
    for kind in (1, 2, 4):
        assert np.array_equal(mirror_patches(found[kind][None], np.array([kind]))[0], patches[0])


def test_a_session_s_pictures_are_changed_each_by_itself_whatever_rows_are_asked_for():
    shown = np.random.default_rng(0).integers(0, 256, (3, 4, 768)).astype(np.uint8)
    told = [Session(("a",) * n, "b", "c", (0, 1, 2)[:n] + (0,)) for n in (1, 2, 2, 1)]
    tokenizer = byte_tokenizer()
    data = Mixture(
        tokenizer,
        sessions=Sessions.encode(tokenizer, told, shown),
        batch_size=4,
        max_len=8,
        text_every=1,
        session_every=1,
    )
    cfg = SETTINGS.model_copy(update={"batch_size": 4, "augment_shift": 2, "augment_affine": 0.1})
    feeder = Feeder(data, cfg)
    whole, plain = feeder._batch(5, ()), data.batch(5)
    assert not np.array_equal(whole.images, plain.images)
    assert not np.array_equal(whole.before.images, plain.before.images)
    part = feeder._batch(5, (slice(1, 3),))
    assert np.allclose(part.images, whole.images[1:3], atol=1e-6)
    episodes = len(part.before.tokens) // 2
    mine = whole.before.images.reshape(4, -1, 4, 768)[1:3, :episodes]
    assert np.allclose(part.before.images.reshape(mine.shape), mine, atol=1e-6)


@pytest.mark.parametrize("asked", [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_threads_of_a_training_sleep_soon_unless_asked_otherwise(asked):
    """OpenMP reads the environment when PyTorch loads it; the command comes to training first."""
    program = (
        "import os, sys, bitmar_tiny.api.training, bitmar_tiny.train;"
        "print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))"
    )
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=kept | asked, capture_output=True, text=True, check=True
    )
    expected = asked.get("GOMP_SPINCOUNT", None if "OMP_WAIT_POLICY" in asked else SPINS)
    assert done.stdout.split() == ["False", str(expected)]


def test_freed_memory_is_kept_where_the_c_library_can_be_told_and_nothing_fails_elsewhere(monkeypatch):
    told = []
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(mallopt=lambda *what: told.append(what)))
    keep_freed_memory()
    assert told == [(-1, -1), (-3, 1 << 30)]
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace())
    keep_freed_memory()


def test_unknown_settings_are_named():
    with pytest.raises(ConfigError, match="Did you mean 'batch_size'"):
        TrainConfig.parse({"batchsize": 3}, "settings.json")


def test_written_episodes_are_the_last_streams_of_the_step_before():
    """The same in every process, whatever the accumulation, none before the first step; nothing where their
    queries are kept.
    """
    cfg = SETTINGS.model_copy(update={"accumulation": 2, "writes_per_batch": 3, "augment_shift": 0})
    data = Toy(TINY)
    for rank in range(2):
        feeder = Feeder(data, cfg, World(rank, 2))
        assert feeder.make(0).episodes is None and feeder.make(1).episodes is None
        for number, before in ((2, 1), (3, 1), (4, 3)):
            e, want = feeder.make(number).episodes, data.batch(before)
            assert np.array_equal(e.tokens, want.tokens[1:]) and np.array_equal(e.lengths, want.lengths[1:])
            assert (e.images is None) == (want.images is None) and (
                e.images is None or np.array_equal(e.images, want.images[1:])
            )
    assert Feeder(data, cfg.model_copy(update={"write_gradient": False})).make(2).episodes is None


@pytest.mark.parametrize("reaches", [True, False])
def test_the_gradient_reaches_what_was_written(reaches):
    """Encoder and vision learn from what a later step reads, if asked to; the values written are the same
    either way.
    """
    cfg = SETTINGS.model_copy(update={"dropout": 0.0, "write_gradient": reaches, "lr": 1e-9, "warmup": 0})
    trainer = Trainer(TINY, cfg)
    feeder = Feeder(Toy(TINY), cfg)
    trainer.advance([feeder.make(0)])  # pictures; its last streams are written next
    kept = trainer.model.pending.clone()
    trainer.optimiser.zero_grad()
    feed = feeder.make(1)  # text: no gradient of its own for vision
    trainer.objective(feed)[0].backward()
    seen = trainer.model.latent["vision/w1"].grad
    assert (seen is not None and float(seen.abs().max()) > 0) == reaches
    assert torch.allclose(trainer.model.pending.detach(), kept, atol=1e-3)
