"""Several processes give what one gives: same global batch, same loss curve."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from train.toy import MICRO, SETTINGS, Toy

from bitmar_tiny.errors import ConfigError
from bitmar_tiny.train import checkpoint
from bitmar_tiny.train.distributed import World, join
from bitmar_tiny.train.logs import read_log
from bitmar_tiny.train.loop import train

CODE = """
import sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
import torch
torch.set_num_threads(1)
from train.test_distributed import MICRO, Toy, checkpoint, settings, train
from bitmar_tiny.train.distributed import join, leave
world = join("cpu")
assert world.size == 2
train(MICRO, settings(**eval(sys.argv[2])), Toy(MICRO), Path(sys.argv[1]), progress=False, world=world)
leave()
"""


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


def two_processes(folder: Path, **changes) -> None:
    """As torchrun starts them."""
    tests = Path(__file__).parents[1]
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, str(folder), repr(changes), str(tests), str(tests.parent)],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
            },
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=600)  # a busy machine
        assert process.returncode == 0, errors


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


@pytest.mark.parametrize(
    "alone, changes",
    [(0, {"accumulation": 2}), (12, {"float_twin": True})],
    ids=["quantised", "float twin, joined later"],
)
def test_two_processes_give_the_loss_curve_of_one(tmp_path, alone, changes):
    """One process adds in another order than two. In float that stays in the last digits (1e-4 after 30 steps); a quantised model
    turns some of them into another code here and there, so its curve is compared to 1%, its first step to 1e-6. A run may go on
    with another number of processes (``alone``: steps before the second joins)."""
    train(MICRO, settings(**changes), Toy(MICRO), tmp_path / "one", progress=False)
    if alone:
        train(MICRO, settings(**changes | {"steps": alone}), Toy(MICRO), tmp_path / "two", progress=False)
    two_processes(tmp_path / "two", **changes)
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert one.shape == two.shape == (30, 5) and len(np.unique(one[:, 0])) == 30
    assert np.array_equal(one[:, 4], two[:, 4])
    assert np.allclose(one[0], two[0], rtol=1e-6, atol=1e-7)
    assert (
        np.allclose(one, two, rtol=1e-4, atol=1e-5)
        if "float_twin" in changes
        else np.allclose(one[:, 0], two[:, 0], rtol=1e-2)
    )
    a, b = (checkpoint.load(tmp_path / name)["model"] for name in ("one", "two"))
    assert np.allclose(a["usage"], b["usage"], atol=1e-3) and not np.allclose(
        a["usage"], 1 / MICRO.memory_slots, atol=1e-5
    )


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
