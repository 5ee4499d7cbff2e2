# SPDX-License-Identifier: Apache-2.0
"""Several processes give what one gives: they add in another order, and do nothing else differently."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from train.toy import MICRO, SETTINGS, Toy

from bitmar_tiny.errors import ConfigError
from bitmar_tiny.train import checkpoint
from bitmar_tiny.train.distributed import World, join, leave
from bitmar_tiny.train.feed import Feeder
from bitmar_tiny.train.logs import read_log
from bitmar_tiny.train.loop import train
from bitmar_tiny.train.trainer import Trainer

CODE = """
import sys
sys.path[:0] = sys.argv[2:]
from pathlib import Path
from train.test_distributed import in_two_processes
in_two_processes(Path(sys.argv[1]))
"""
#: Steps after which the quantised model's state is handed to one process and to two.
GIVEN = (0, 1, 12)
#: The second process joins the float twin's run after so many steps of 30.
JOINED = 12


def settings(**changes):
    return SETTINGS.model_copy(
        update={
            "steps": 30,
            "restart_steps": 30,
            "dropout": 0.0,
            "log_every": 1,
            "checkpoint_every": 10,
            "writes_per_batch": 3,
        }
        | changes
    )


QUANTISED, TWIN = settings(accumulation=2), settings(float_twin=True)


def in_two_processes(folder: Path) -> None:
    """What each of the two does: one step from each given state, then the rest of the float twin's run."""
    torch.set_num_threads(1)
    world = join("cpu")
    assert world.size == 2
    for step in GIVEN:
        found = one_step(checkpoint.load(folder / f"given{step}"), world)
        if world.main:
            torch.save(found, folder / f"given{step}" / "two.pt")
    train(MICRO, TWIN, Toy(MICRO), folder / "two", progress=False, world=world)
    leave()


def one_step(state: dict, world: World = World()) -> dict:
    """Losses, gradients, queries and usage of the quantised model after the step that follows ``state``."""
    trainer = Trainer(MICRO, QUANTISED, world)
    trainer.restore(state, Path("given"))
    with Feeder(Toy(MICRO), QUANTISED, world, trainer.step * QUANTISED.accumulation) as feeder:
        losses = trainer.advance([feeder.next() for _ in range(QUANTISED.accumulation)])
    return {
        "losses": losses,
        "gradients": {n: p.grad for n, p in trainer.model.latent.items() if p.grad is not None},
        "queries": trainer.model.pending,
        "usage": trainer.model.usage,
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """Everything that two processes do, and the float twin's run in one. Two processes start as torchrun
    starts them: the one that starts them holds the port, so that nobody takes it in between.
    """
    folder = tmp_path_factory.mktemp("distributed")
    trainer = Trainer(MICRO, QUANTISED)
    with Feeder(Toy(MICRO), QUANTISED) as feeder:
        for step in range(max(GIVEN) + 1):
            if step in GIVEN:
                (folder / f"given{step}").mkdir()
                checkpoint.save(folder / f"given{step}", trainer.state())
            trainer.advance([feeder.next() for _ in range(QUANTISED.accumulation)])
    train(MICRO, TWIN, Toy(MICRO), folder / "one", progress=False)
    half = TWIN.model_copy(update={"steps": JOINED})
    train(MICRO, half, Toy(MICRO), folder / "two", progress=False)
    two_processes(folder)
    return folder


def two_processes(folder: Path) -> None:
    tests = Path(__file__).parents[1]
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    given = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(folder), str(tests), str(tests.parent)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | given | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    try:
        for process in processes:
            _, errors = process.communicate(timeout=300)  # a busy machine
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def curve(folder: Path) -> np.ndarray:
    return np.array(
        [
            [
                r["loss"]["lm"],
                r["loss"].get("contrastive", 0),
                r["loss"]["memory"],
                r["alignment"] or 0,
                r["tokens"],
            ]
            for r in read_log(folder)
            if r["kind"] == "step"
        ]
    )


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """|a - b| / |b|"""
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("step", GIVEN)
def test_a_quantised_step_of_two_processes_is_that_of_one(runs, step):
    """From one state. Sums in another order may turn the last digit, and so a code here and there: with
    weights disturbed by 1e-7 the gradient turns by 1e-5, by 1e-5 by less than 1%. More steps would say
    nothing: such a code decides later ones.
    """
    state = checkpoint.load(runs / f"given{step}")
    one, two = one_step(state), torch.load(runs / f"given{step}" / "two.pt", weights_only=True)
    assert one["losses"] == pytest.approx(two["losses"], rel=1e-3, abs=1e-6)
    assert one["gradients"].keys() == two["gradients"].keys() and len(one["gradients"]) > 20
    a, b = (torch.cat([g.flatten() for g in x["gradients"].values()]) for x in (two, one))
    assert distance(a, b) < 0.01
    assert one["queries"].shape == (3, MICRO.d_model) and distance(two["queries"], one["queries"]) < 0.01
    before = state["model"]["usage"]
    if step:  # nothing is written by the first
        assert distance(two["usage"] - before, one["usage"] - before) < 0.01


def test_two_processes_give_the_float_twins_curve_of_one(runs):
    """Nothing is rounded, so that sums in another order stay in the last digits (2e-6 after 30 steps). A run
    may go on with another number of processes.
    """
    one, two = curve(runs / "one"), curve(runs / "two")
    assert one.shape == two.shape == (30, 5) and len(np.unique(one[:, 0])) == 30
    assert np.array_equal(one[:, 4], two[:, 4])
    assert np.allclose(one, two, rtol=1e-4, atol=1e-5)
    a, b = (checkpoint.load(runs / name)["model"] for name in ("one", "two"))
    assert np.allclose(a["usage"], b["usage"], atol=1e-5) and not np.allclose(
        a["usage"], 1 / MICRO.memory_slots, atol=1e-3
    )
    assert np.allclose(a["pending"], b["pending"], atol=1e-2)


def test_rows_are_shared_out_or_refused():
    assert [World(rank, 4).rows(8) for rank in range(4)] == [
        slice(0, 2),
        slice(2, 4),
        slice(4, 6),
        slice(6, 8),
    ]
    with pytest.raises(ConfigError, match="cannot be shared out among 3"):
        World(0, 3).rows(64)


def test_a_gpu_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="finds no CUDA device.*--device cpu"):
        join("cuda")
    assert join("auto").device.type == "cpu" and join("cpu").size == 1
