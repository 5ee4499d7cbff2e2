# SPDX-License-Identifier: Apache-2.0
"""The benchmark "show once": its figures, controls and references, and that all are asked in the same way."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from command_line import run as run_cli
from eval_support import byte_tokenizer
from rich.console import Console
from things_support import save_features, save_shapes, shapes
from train.toy import MICRO

from bitmar_tiny.data.corpora import file_corpus
from bitmar_tiny.data.show_once import PROMPT, UNKNOWN, Recipe
from bitmar_tiny.data.things.table import TEST, TRAIN
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.evaluate.askers import RunningAsker, TorchAsker
from bitmar_tiny.evaluate.one_session import tell_session
from bitmar_tiny.evaluate.references import by_pixels, nearest, train_twin
from bitmar_tiny.evaluate.show_once import area_under_curve, ask_trials, measure_show_once, share
from bitmar_tiny.model.bitmar import BitMar
from bitmar_tiny.model.export import freeze
from bitmar_tiny.report.show_once import show_once_tables
from bitmar_tiny.run.golden import GoldenSession
from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.train.run import train_run

CFG = MICRO.model_copy(
    update={
        "name": "small",
        "window": 46,
        "n_positions": 48,
        "image_tokens": 1,
        "memory_slots": 4,
        "read_every": 1,
        "write_rate": 1.0,
    }
)
SETTINGS = TrainConfig(
    steps=4,
    batch_size=4,
    accumulation=1,
    contrastive_weight=0,
    writes_per_batch=0,
    text_every=1,
    session_every=1,
    session_things=(2, 3),
    max_len=40,
    augment_affine=0.05,
    checkpoint_every=2,
    log_every=4,
)


class Oracle:
    """Answers with the name that was told last beside the thing, or that it does not know."""

    name, at_once = "oracle", 7

    def __init__(self, things, sees: float = 1.0) -> None:
        self.things, self.sees, self.rng = things, sees, np.random.default_rng(0)

    def teach(self, told, before=None):
        return [[*earlier, *now] for earlier, now in zip(before or [[]] * len(told), told, strict=True)]

    def _known(self, episodes, row):
        thing = self.things.thing
        if self.rng.random() > self.sees:
            return None
        said = [text for at, text in episodes if at is not None and thing[at] == thing[row]]
        return said[-1].removeprefix(PROMPT) if said else None

    def answers(self, taught, rows, memory=True):
        return [memory and self._known(e, r) or UNKNOWN for e, r in zip(taught, rows, strict=True)]

    def scores(self, taught, rows, answers):
        known = [self._known(e, r) or UNKNOWN for e, r in zip(taught, rows, strict=True)]
        return np.array([[-float(a != k) for a in some] for some, k in zip(answers, known, strict=True)])

    def doubts(self, taught, rows):
        return np.array([float(self._known(e, r) is None) for e, r in zip(taught, rows, strict=True)])


def test_a_memory_that_works_is_told_from_its_controls():
    things = shapes()
    trials = things.trials(TEST, "another view", 3, 60, 1)
    found = ask_trials(Oracle(things), trials, after=3)
    ones = ("generated", "choice", "renamed", "unknown")
    assert all(found[key]["share"] == 1 and found[key]["of"] == 60 for key in ones) and found["auc"] == 1
    assert found["auc_read"] == 1
    assert found["off"]["share"] == found["another"]["share"] == found["doubted"]["share"] == 0
    assert found["shuffled"]["low"] < 1 / 3 < found["shuffled"]["high"]
    blind = ask_trials(Oracle(things, 0.5), trials)
    assert 0.3 < blind["generated"]["share"] < 0.7 and blind["renamed"]["of"] < 60
    assert 0.6 < blind["auc"] < 0.9 and 0.6 < blind["auc_read"] < 0.9


def test_intervals_and_the_area_under_the_curve():
    s = share([True] * 50 + [False] * 50)
    assert s["share"] == 0.5 and 0.40 < s["low"] < 0.41 and 0.59 < s["high"] < 0.6
    assert (
        share([True] * 10)["high"] == pytest.approx(1)
        and share([True] * 10)["low"] > 0.7
        and share([])["share"] is None
    )
    known, strange = np.array([1.0, 2, 3]), np.array([2.0, 4])
    assert area_under_curve(known, strange) == pytest.approx((1.5 + 3) / 6)
    assert area_under_curve(known, np.zeros(0)) is None


def test_the_nearest_picture_and_the_network_see_the_shapes():
    things = shapes(views=3)
    trials = things.trials(TEST, "another view", 3, 100, 0)
    grey, colour = (nearest(trials, by_pixels(things, c)).right.mean() for c in (False, True))
    assert colour > 1 / 3 and grey > 1 / 3
    embed = train_twin(things, 0.02)
    assert embed(np.arange(3)).shape[0] == 3
    found = nearest(trials, embed)
    assert found.right.mean() > 1 / 3 and found.known.mean() < found.strange.mean()


def test_pytorch_and_golden_are_asked_in_the_same_way():
    """Without what was told, where their arithmetic is the same, both write and score the same."""
    torch.manual_seed(0)
    model, tokenizer, things = BitMar(CFG).eval(), byte_tokenizer(), shapes()
    with torch.no_grad():  # codes as they are frozen, so that both begin with the same memory
        model.weight("memory.m").mul_(1.0)
    golden = GoldenSession(freeze(model, tokenizer.to_bytes(), {}))
    ways = [
        TorchAsker(model, tokenizer, things.pictures),
        RunningAsker(golden, golden.model, tokenizer, things.pictures),
    ]
    rows, told = [1, 5], [[(0, "This is a dax.")], [(3, "This is a wug."), (None, "Rain.")]]
    written, scored = [], []
    for way in ways:
        taught = way.teach(told)
        written.append(way.answers(taught, rows, memory=False))
        scored.append(way.scores(taught, rows, [[" a dax.", " no"], [" a wug.", UNKNOWN]]))
        assert way.answers(way.teach([[], []] if way is ways[1] else told, None), rows)
    assert written[0] == written[1] and scored[0].shape == scored[1].shape == (2, 2)
    assert (scored[0] < 0).all() and np.abs(scored[0] - scored[1]).max() < 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of four steps on a folder of shapes: (run, folder)."""
    from bitmar_tiny.train.corpus import run_corpus

    folder = tmp_path_factory.mktemp("things")
    save_shapes(folder / "mine", 20, 3)
    data = {"folder": str(folder / "run" / "data"), "things": [str(folder / "mine")]}
    corpus = run_corpus(CFG, SETTINGS, data, tokenizer=byte_tokenizer())
    train_run(CFG, SETTINGS, corpus, folder / "run", progress=False, data=data)
    return folder / "run", folder / "mine"


def test_training_goes_on_with_the_same_sessions(trained, tmp_path):
    run, mine = trained
    few = SETTINGS.model_copy(update={"steps": 2, "restart_steps": SETTINGS.restart_steps})

    def corpus():
        return file_corpus(
            CFG,
            (),
            (),
            (),
            tmp_path,
            things=[_things(run)],
            recipe=Recipe((2, 3)),
            tokenizer=byte_tokenizer(),
        )

    train_run(CFG, few, corpus(), tmp_path / "two", progress=False)
    train_run(CFG, SETTINGS, corpus(), tmp_path / "two", progress=False)
    states = [torch.load(r / "checkpoint.pt", weights_only=True)["model"] for r in (run, tmp_path / "two")]
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def _things(run):
    from bitmar_tiny.data.things.table import load_things

    return load_things(run / "data" / "things1")


def test_a_run_is_asked_about_things_that_it_never_saw(trained):
    run, _ = trained
    report = measure_show_once(run, shown=(2, 3), sessions=4)
    assert report["on"] == "torch" and [r["shown"] for r in report["rows"]] == [2, 3]
    assert all(r["sessions"] == 4 and r["generated"]["of"] == 4 for r in report["rows"])
    golden = measure_show_once(run, shown=(2,), sessions=3, on="golden", dev=True)
    assert golden["side"] == "dev" and golden["rows"][0]["generated"]["of"] == 3
    heads = [column.header for table in show_once_tables(report) for column in table.columns]
    assert "name\nwritten" in heads and "names\nshuffled" in heads and "area under\nthe curve" in heads
    with pytest.raises(DataError, match="too few things to show 50"):
        measure_show_once(run, shown=(50,), sessions=1)


def test_the_command(trained):
    run, mine = trained
    found = run_cli("holdout", run, "--task", "show-once", "--shown", "2", "--limit", "4", "--json")
    assert json.loads(found.stdout)["rows"][0]["generated"]["of"] == 4
    alone = run_cli(
        "holdout", "--task", "show-once", "--things", run / "data/things1", "--shown", "2", "--limit", "9"
    )
    assert alone.returncode == 0 and "pixels" in alone.stdout and "written" not in alone.stdout
    for arguments, words in (
        (("holdout",), "Which run?"),
        (("holdout", run, "--shown", "2"), "--task show-once"),
        (("holdout", "--task", "show-once"), "which things"),
    ):
        refused = run_cli(*arguments)
        assert refused.returncode == 2 and words in refused.stderr


def test_the_references_alone_need_no_run(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = measure_show_once(None, [trained[1]], shown=(2,), sessions=20, twin=0.005)
    row = report["rows"][0]
    assert row["pixels"]["grey"]["of"] == row["twin"]["of"] == 20 and "generated" not in row
    assert len(list(show_once_tables(report))) == 1
    with pytest.raises(ConfigError, match="which things"):
        measure_show_once(None)


def test_a_memory_learns_things_as_a_backbone_sees_them(tmp_path, monkeypatch):
    """Features in the place of pixels, from training to golden; what looks at pixels refuses them."""
    from bitmar_tiny.train.corpus import run_corpus

    monkeypatch.chdir(tmp_path)
    cfg = CFG.model_copy(update={"write_rule": "keyed", "write_rate": 0.2})
    data = {"folder": str(tmp_path / "run/data"), "things": [str(save_features(tmp_path / "features"))]}
    settings = SETTINGS.model_copy(update={"augment_affine": 0.0})
    corpus = run_corpus(cfg, settings, data, tokenizer=byte_tokenizer())
    train_run(cfg, settings, corpus, tmp_path / "run", progress=False, data=data)
    found = {
        on: measure_show_once(tmp_path / "run", shown=(2,), sessions=3, on=on) for on in ("torch", "golden")
    }
    assert found["torch"]["exact"] and found["torch"]["rows"] == found["golden"]["rows"]
    row = measure_show_once(None, [tmp_path / "features"], shown=(3,), sessions=50)["rows"][0]
    assert row["backbone"]["share"] > 0.9 and row["pixels"]["colour"] is None
    seeing = cfg.model_copy(update={"vision_channels": (4, 4, 4, 4)})
    for config, changed, words in (
        (cfg, SETTINGS, "cannot be shifted or turned"),
        (seeing, settings, "vision_channels takes pixels"),
        (cfg.model_copy(update={"image_tokens": 4}), settings, "1 vectors a picture, the model takes 4"),
    ):
        with pytest.raises(ConfigError, match=words):
            run_corpus(config, changed, data | {"folder": str(tmp_path / "other")})
    with pytest.raises(ConfigError, match="look at pixels"):
        measure_show_once(None, [tmp_path / "features"], shown=(2,), sessions=1, twin=1)
    with pytest.raises(ConfigError, match="no pictures that could be drawn"):
        tell_session(tmp_path / "run", shown=2)


def test_no_thing_of_the_test_is_in_a_training_batch(trained):
    things = _things(trained[0])
    rng = np.random.default_rng(0)
    for _ in range(100):
        t = things.trial(rng, TRAIN, things.training, 3)
        assert (things.side[things.thing[[*t.shown.ravel(), t.asked, t.stranger]]] == TRAIN).all()


def test_tables_fit_80_columns():
    part = share([True, False] * 50)
    row = {"things": "furniture", "question": "turned by 180 degrees", "shown": 100, "sessions": 1000}
    row |= {
        "chance": 0.01,
        "pixels": {"grey": part, "colour": part},
        "twin": part,
        "auc": 0.9,
        "auc_read": 0.9,
        "areas": {"twin": 0.9},
    }
    row["backbone"] = part
    keys = ("generated", "choice", "off", "another", "shuffled", "renamed", "unknown", "doubted")
    report = {"rows": [row | dict.fromkeys(keys, part)], "side": "test", "on": "golden"}
    report |= {"after": 100, "restart": True, "backbone": "DINOv2-S"}
    console = Console(width=200, file=io.StringIO())
    for table in show_once_tables(report):
        console.print(table)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80 and any("50.0" in line for line in lines)
