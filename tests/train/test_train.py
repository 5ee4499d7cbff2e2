"""Training: resumable to the bit, atomic, and codes that really move."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bitmar_tiny.data.mixture import Batch
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.model.bitmar import BitMar
from bitmar_tiny.train import checkpoint
from bitmar_tiny.train.augment import shift_patches
from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.train.loop import make_optimiser, train, train_step
from bitmar_tiny.train.schedule import learning_rate
from bitmar_tiny.verify.script import random_image
from support import TINY

SETTINGS = TrainConfig(steps=6, batch_size=4, accumulation=1, lr=3e-3, warmup=2, restart_steps=6, checkpoint_every=1,
                       dropout=0.1, augment_shift=1)


class Toy:
    """Batches that are a pure function of the step: captions on even steps, text on odd ones."""

    def batch(self, step: int) -> Batch:
        rng = np.random.default_rng(step)
        lengths = rng.integers(3, 9, 4)
        tokens = rng.integers(0, 257, (4, 8))
        labels = np.where(np.arange(8) < lengths[:, None], np.roll(tokens, -1, 1), -100)
        pictures = step % 2 == 0
        images = np.stack([random_image(TINY, rng) for _ in range(4)]) if pictures else None
        return Batch(tokens, labels, lengths, images, np.full(4, pictures), np.arange(4))


def state_of(model: BitMar) -> dict[str, np.ndarray]:
    return {k: v.numpy().copy() for k, v in model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert np.array_equal(a[key].view(np.uint8), b[key].view(np.uint8)), key


def test_resuming_continues_bit_identically(tmp_path):
    whole = state_of(train(TINY, SETTINGS, Toy(), tmp_path / "a", progress=False))
    half = SETTINGS.model_copy(update={"steps": 3})
    train(TINY, half, Toy(), tmp_path / "b", progress=False)
    assert_same(whole, state_of(train(TINY, SETTINGS, Toy(), tmp_path / "b", progress=False)))


def test_threads_do_not_change_a_bit():
    """A batch large enough for PyTorch to share out: gradients of rows that many tokens use must not be raced for."""
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
        torch.manual_seed(0)
        model = BitMar(cfg).train()
        optimiser = make_optimiser(model, SETTINGS)
        for step in range(4):
            train_step(model, optimiser, SETTINGS, Same(), step)
        return state_of(model)

    torch.set_num_threads(4)
    try:
        first = few_steps()
        for _ in range(3):
            assert_same(first, few_steps())
    finally:
        torch.set_num_threads(threads)


def test_kill_nine_in_the_middle(tmp_path):
    """A process killed while it trains and saves leaves a checkpoint that continues to the same bits."""
    long = SETTINGS.model_copy(update={"steps": 40, "restart_steps": 40})
    code = ("import sys; sys.path[:0] = sys.argv[2:]\n"
            "from test_train import *\nfrom pathlib import Path\n"
            "train(TINY, SETTINGS.model_copy(update={'steps': 40, 'restart_steps': 40}), Toy(), Path(sys.argv[1]), progress=False)")
    here = Path(__file__).parent
    for attempt in range(3):
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run"), str(here), str(here.parent), str(here.parents[1])])
        deadline = time.monotonic() + 60
        seen = checkpoint.load(tmp_path / "run")["step"] if attempt else 0
        while process.poll() is None and time.monotonic() < deadline:
            state = checkpoint.load(tmp_path / "run")     # readable at every moment
            if state is not None and state["step"] >= seen + 3:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert checkpoint.load(tmp_path / "run")["step"] < 40
    resumed = train(TINY, long, Toy(), tmp_path / "run", progress=False)
    assert_same(state_of(train(TINY, long, Toy(), tmp_path / "whole", progress=False)), state_of(resumed))
    assert not [n for n in os.listdir(tmp_path / "whole") if n.endswith(".tmp")]


@pytest.mark.parametrize("damage", [lambda d: d[:len(d) // 2], lambda d: b"", lambda d: b"not a checkpoint" * 9])
def test_a_damaged_checkpoint_is_one_sentence(tmp_path, damage):
    train(TINY, SETTINGS.model_copy(update={"steps": 1}), Toy(), tmp_path, progress=False)
    path = tmp_path / checkpoint.FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match="damaged or not a checkpoint"):
        train(TINY, SETTINGS, Toy(), tmp_path, progress=False)


def test_a_checkpoint_of_another_model(tmp_path):
    train(TINY, SETTINGS.model_copy(update={"steps": 1}), Toy(), tmp_path, progress=False)
    other = TINY.model_copy(update={"d_ffn": 64})
    with pytest.raises(DataError, match="another model"):
        train(other, SETTINGS, Toy(), tmp_path, progress=False)


def test_ternary_codes_really_change_and_loss_falls():
    torch.manual_seed(0)
    cfg = SETTINGS.model_copy(update={"steps": 60, "restart_steps": 60, "dropout": 0.0})
    model = BitMar(TINY).train()
    optimiser = make_optimiser(model, cfg)
    before = {n: model.matrix(n)[0].clone() for n in ("enc.0.wq", "dec.1.w2", "vision.w1", "head.w")}

    class Same(Toy):
        def batch(self, step):
            return super().batch(step % 2)

    losses = [train_step(model, optimiser, cfg, Same(), step)[0]["lm"] for step in range(60)]
    assert np.mean(losses[-6:]) < 0.6 * np.mean(losses[:6])
    for name, trits in before.items():
        assert (model.matrix(name)[0] != trits).float().mean() > 0.01, name


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


def test_unknown_settings_are_named():
    with pytest.raises(ConfigError, match="Did you mean 'batch_size'"):
        TrainConfig.parse({"batchsize": 3}, "settings.json")
