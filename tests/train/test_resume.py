# SPDX-License-Identifier: Apache-2.0
"""A run killed at any moment, or out of disk, continues to the bits of an undisturbed one."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from train.toy import MICRO, SETTINGS, Toy

from bitmar_tiny.errors import DataError
from bitmar_tiny.train import checkpoint
from bitmar_tiny.train.logs import read_log
from bitmar_tiny.train.loop import train

KILLS, STEPS = 20, 150
LONG = SETTINGS.model_copy(
    update={
        "steps": STEPS,
        "restart_steps": STEPS,
        "controller": True,
        "controller_span": 5,
        "controller_drop": 0.01,
        "controller_cooldown": 5,
        "controller_length": 7,
        "log_every": 25,
    }
)

#: Imports once, then forks a training process for every line it reads (folder, steps, seconds): PyTorch takes
#: seconds to import, a step milliseconds. The process is ended after so many seconds of its own processor
#: time, like a clock that only runs while it does, so that a busy machine changes nothing; 0: never. Answers
#: with its status and its processor time.
FORKER = """
import os, signal, sys
sys.path[:0] = sys.argv[1:]
from pathlib import Path
import torch
import matplotlib
from torch.utils.tensorboard import SummaryWriter
from bitmar_tiny.train.trainer import Trainer
from train.test_resume import LONG, MICRO, Toy, train
torch.set_num_threads(1)
Trainer(MICRO, LONG)                    # imports what PyTorch imports late
for line in sys.stdin:
    folder, steps, seconds = line.rsplit(maxsplit=2)
    child = os.fork()
    if not child:
        signal.signal(signal.SIGPROF, signal.SIG_DFL)          # ends the process as SIGKILL does
        signal.setitimer(signal.ITIMER_PROF, float(seconds))
        cfg = LONG.model_copy(update={"steps": int(steps)})
        train(MICRO, cfg, Toy(MICRO), Path(folder), progress=False)
        os._exit(0)
    _, status, used = os.wait4(child, 0)
    print(status, used.ru_utime + used.ru_stime, flush=True)
"""


def same_state(a, b, path=""):
    """Two nested states, to the bit."""
    assert type(a) is type(b), path
    if isinstance(a, torch.Tensor):
        assert torch.equal(a.view(torch.uint8) if a.ndim else a, b.view(torch.uint8) if b.ndim else b), path
    elif isinstance(a, (dict, list, tuple)):
        assert len(a) == len(b), path
        for key in a if isinstance(a, dict) else range(len(a)):
            same_state(a[key], b[key], f"{path}/{key}")
    else:
        assert a == b, path


def test_killed_at_twenty_random_moments(tmp_path):
    """After every kill a whole checkpoint is there; in the end weights, moments, controller and log equal an
    undisturbed run's.
    """
    tests = Path(__file__).parents[1]
    forker = subprocess.Popen(
        [sys.executable, "-c", FORKER, str(tests), str(tests.parent)],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )

    def run_for(seconds: float, name: str = "run", steps: int = STEPS) -> tuple[int, float]:
        forker.stdin.write(f"{tmp_path / name} {steps} {seconds:.6f}\n")
        forker.stdin.flush()
        status, used = forker.stdout.readline().split()
        return int(status), float(used)

    rng, steps = random.Random(int.from_bytes(os.urandom(8))), [0]  # other moments every time
    try:
        (one, ready), (whole, total) = run_for(0, "one", 1), run_for(0, "whole")
        assert one == whole == 0
        latest = ready + 2 * (total - ready) / KILLS
        for _ in range(KILLS):
            ended, _ = run_for(rng.uniform(1e-4, latest))
            state = checkpoint.load(tmp_path / "run")  # whole, or not there yet
            steps.append(state["step"] if state else 0)
            if ended == 0:  # all steps were done before the last kill
                break
            assert ended == signal.SIGPROF
            latest *= 0.9 if steps[-1] > steps[-2] else 1.2
        print(f"killed at steps {steps}")
        assert steps == sorted(steps) and steps[-1] > 0 and len(steps) > KILLS // 2
        assert run_for(0)[0] == 0
    finally:
        forker.stdin.close()
        forker.kill()
        forker.wait()
    whole, run = (checkpoint.load(tmp_path / name) for name in ("whole", "run"))
    assert (
        whole["controller"]["count"] > 0
        and run["step"] == STEPS
        and not list((tmp_path / "run").glob(".*.tmp"))
    )
    same_state(whole, run)
    whole, run = (
        [
            {k: r.get(k) for k in ("kind", "step", "action", "lr", "tokens")}
            for r in read_log(tmp_path / name)
            if r["kind"] != "note"
        ]
        for name in ("whole", "run")
    )
    assert whole == run


def test_the_previous_checkpoint_is_read_where_the_newest_is_damaged(tmp_path):
    train(MICRO, SETTINGS, Toy(MICRO), tmp_path / "whole", progress=False)
    short = SETTINGS.model_copy(update={"steps": 4})
    train(MICRO, short, Toy(MICRO), tmp_path / "run", progress=False)
    newest = tmp_path / "run" / checkpoint.FILE
    newest.write_bytes(newest.read_bytes()[:1000])
    assert checkpoint.load(tmp_path / "run")["step"] == 3
    train(MICRO, SETTINGS, Toy(MICRO), tmp_path / "run", progress=False)
    same_state(*(checkpoint.load(tmp_path / name) for name in ("whole", "run")))


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_stays(tmp_path):
    """The operating system refuses to let files grow: what a full disk does to a write."""
    train(MICRO, SETTINGS.model_copy(update={"steps": 3}), Toy(MICRO), tmp_path, progress=False)
    good, size = (tmp_path / checkpoint.FILE).read_bytes(), (tmp_path / checkpoint.FILE).stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, limits[1]))
    try:
        with pytest.raises(DataError, match="checkpoint.pt: cannot be written .*has room"):
            train(MICRO, SETTINGS, Toy(MICRO), tmp_path, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / checkpoint.FILE).read_bytes() == good and not list(tmp_path.glob(".*.tmp"))
    train(MICRO, SETTINGS, Toy(MICRO), tmp_path, progress=False)
    assert checkpoint.load(tmp_path)["step"] == SETTINGS.steps


def test_a_log_that_cannot_be_written_is_one_sentence(tmp_path):
    train(MICRO, SETTINGS.model_copy(update={"steps": 2}), Toy(MICRO), tmp_path, progress=False)
    log = tmp_path / "log.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 10, limits[1]))
    try:
        with pytest.raises(DataError, match="cannot be written"):
            train(
                MICRO,
                SETTINGS.model_copy(update={"checkpoint_every": 1000}),
                Toy(MICRO),
                tmp_path,
                progress=False,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_restart_forgets_the_old_run_at_once(tmp_path):
    train(MICRO, SETTINGS, Toy(MICRO), tmp_path, progress=False)
    with pytest.raises(ZeroDivisionError):
        train(MICRO, SETTINGS, Broken(), tmp_path, resume=False, progress=False)
    assert checkpoint.load(tmp_path) is None


class Broken:
    def batch(self, step: int):
        raise ZeroDivisionError
