# SPDX-License-Identifier: Apache-2.0
"""The adaptive controller against a plain restatement of the paper's rule, and what its interventions do to a
step.
"""

from __future__ import annotations

import numpy as np
import pytest
from train.toy import MICRO, SETTINGS, Toy

from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.train.controller import FROZEN_PARTS, Controller
from bitmar_tiny.train.feed import prepare
from bitmar_tiny.train.logs import read_log
from bitmar_tiny.train.loop import train
from bitmar_tiny.train.trainer import Trainer

PAPER = TrainConfig(controller=True)


def run(signal, cfg=PAPER):
    controller = Controller(cfg)
    return controller, [e for i, x in enumerate(signal, 1) if (e := controller.observe(i, x))]


def test_the_papers_numbers():
    """0.5 for 1,000 steps, then 0: the average falls by 0.12 after ln(1 / (1 - 0.24)) * 200 = 55 steps; 1,500
    steps; rest of 800.
    """
    controller, events = run([0.5] * 1000 + [0.0] * 4000)
    begin, end = events
    assert begin["event"] == "begin" and begin["step"] == 1055 and begin["best"] - begin["average"] > 0.12
    assert end["event"] == "end" and end["step"] == 1055 + 1500
    assert controller.action is None and controller.ended == 2555  # at 0 since: nothing to fall from


def test_it_rests_before_the_next():
    falls = [0.5] * 1000 + [0.0] * 2000 + [0.9] * 300 + [-0.5] * 3000
    _, events = run(falls)
    first_end, second = events[1], events[2]
    assert second["event"] == "begin" and second["step"] - first_end["step"] >= PAPER.controller_cooldown
    eager = PAPER.model_copy(update={"controller_cooldown": 0})
    assert run(falls, eager)[1][2]["step"] < second["step"]


@pytest.mark.parametrize(
    "signal",
    [[0.5] * 4000, list(np.linspace(0, 0.9, 4000)), [0.5, -0.5] * 2000, [0.5] * 1000 + [0.39] * 3000],
)
def test_it_leaves_a_healthy_run_alone(signal):
    assert run(signal)[1] == []


def test_steps_without_pictures_do_not_count():
    signal = [0.5] * 1000 + [0.0] * 100
    sparse = [x for value in signal for x in (value, None)]
    assert run(sparse)[1][0]["step"] == pytest.approx(2 * run(signal)[1][0]["step"], abs=1)


def test_choices_are_random_seeded_and_restorable():
    wave = ([0.8] * 1500 + [-0.8] * 2500) * 12
    cfg = PAPER.model_copy(update={"seed": 3})
    whole, events = run(wave, cfg)
    actions = [e["action"] for e in events if e["event"] == "begin"]
    assert len(set(actions)) >= 3 and actions == [
        e["action"] for e in run(wave, cfg)[1] if e["event"] == "begin"
    ]
    assert actions != [e["action"] for e in run(wave, PAPER)[1] if e["event"] == "begin"]
    for cut in (700, 2000, 9000, 20_001):
        half = Controller.restore(cfg, run(wave[:cut], cfg)[0].state())
        for i, x in enumerate(wave[cut:], cut + 1):
            half.observe(i, x)
        assert half.state() == whole.state()


@pytest.mark.parametrize("action", FROZEN_PARTS)
def test_what_is_frozen_does_not_move_and_the_rest_does(action):
    trainer = Trainer(MICRO, SETTINGS.model_copy(update={"dropout": 0.0}))
    data = Toy(MICRO)
    for i in range(2):
        trainer.advance([prepare(data.batch(i))])
    trainer.controller.action = action
    trainer.advance([prepare(data.batch(2))])  # writes what was pending before the memory is frozen
    before = {n: p.detach().clone() for n, p in trainer.model.latent.items()}
    usage = trainer.model.usage.clone()
    trainer.advance([prepare(data.batch(4))])
    frozen = {id(p) for p in trainer.parts[FROZEN_PARTS[action]]}
    for name, p in trainer.model.latent.items():
        assert (p == before[name]).all() == (id(p) in frozen), name
    assert (trainer.model.usage == usage).all() == (action == "freeze_memory")


def test_a_boost_reaches_the_loss():
    def gradient(action):
        trainer = Trainer(MICRO, SETTINGS.model_copy(update={"dropout": 0.0, "clip": 1e9}))
        trainer.controller.action = action
        trainer.advance([prepare(Toy(MICRO).batch(0))])
        return trainer.model.latent["vision/w2"].grad

    plain, boosted = gradient(None), gradient("boost_alignment")
    assert (boosted - plain).abs().max() > 0.1 * plain.abs().max()


def test_interventions_are_logged(tmp_path):
    cfg = SETTINGS.model_copy(
        update={
            "steps": 60,
            "controller": True,
            "controller_span": 3,
            "controller_drop": 0.001,
            "controller_cooldown": 2,
            "controller_length": 4,
            "checkpoint_every": 60,
            "lr": 1e-2,
        }
    )
    train(MICRO, cfg, Toy(MICRO), tmp_path, progress=False)
    events = [r for r in read_log(tmp_path) if r["kind"] == "intervention"]
    assert [e["event"] for e in events[:4]] == ["begin", "end", "begin", "end"]
    assert all(e["action"] in cfg.interventions and e["best"] - e["average"] > 0.001 for e in events[::2])
