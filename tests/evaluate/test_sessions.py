# SPDX-License-Identifier: Apache-2.0
"""Answers out of the memory: a tiny model learns them through training as everybody runs it, and its controls
cannot know them.
"""

from __future__ import annotations

import itertools
import json

import pytest
from eval_support import byte_model
from PIL import Image

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.data.corpora import file_corpus
from bitmar_tiny.data.sessions import Session, read_sessions
from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.evaluate.sessions import evaluate_sessions
from bitmar_tiny.report.evaluation import sessions_table
from bitmar_tiny.run.golden import GoldenSession
from bitmar_tiny.train.config import TrainConfig
from bitmar_tiny.train.run import freeze_run, train_run

CFG = ModelConfig(
    name="small",
    vocab_size=257,
    d_model=64,
    n_heads=2,
    n_encoder_layers=1,
    n_decoder_layers=1,
    d_ffn=64,
    n_sinks=2,
    window=14,
    n_positions=16,
    vision_hidden=8,
    image_tokens=1,
    memory_slots=2,
    read_every=1,
    write_rate=1.0,
)
SETTINGS = TrainConfig(
    steps=250,
    batch_size=32,
    accumulation=1,
    lr=3e-3,
    warmup=20,
    restart_steps=250,
    min_lr=0.02,
    weight_decay=0,
    contrastive_weight=0,
    writes_per_batch=0,
    text_every=2,
    session_every=1,
    max_len=8,
    checkpoint_every=250,
    log_every=250,
)


def test_a_fact_is_carried_over_episodes(tmp_path):
    """One letter is told, and asked for in another episode."""
    path = tmp_path / "letters.jsonl"
    path.write_text(
        "".join(json.dumps([letter, ["", letter]]) + "\n" for letter in "abcd" for _ in range(16))
    )
    train_run(
        CFG,
        SETTINGS,
        file_corpus(CFG, (), (), (), tmp_path, sessions=(path,)),
        tmp_path / "run",
        progress=False,
    )
    found = evaluate_sessions(freeze_run(tmp_path / "run"), read_sessions(path)[::4])
    assert found["on"] > 0.9 and found["off"] <= 0.25 and found["on"] - found["shuffled"] > 0.2
    assert found["by_age"] == {0: [round(found["on"] * 16), 16]}


def test_a_run_that_is_refused_leaves_nothing_and_other_sessions_are_another_run(tmp_path):
    path, out, few = tmp_path / "s.jsonl", tmp_path / "run", SETTINGS.model_copy(update={"steps": 1})

    def start(lines: int, settings: TrainConfig) -> None:
        path.write_text('["a", ["", "a"]]\n' * lines)
        train_run(
            CFG, settings, file_corpus(CFG, (), (), (), tmp_path, sessions=(path,)), out, progress=False
        )

    with pytest.raises(ConfigError, match="session_every=0"):
        start(4, few.model_copy(update={"session_every": 0}))
    start(4, few)
    start(4, few)
    with pytest.raises(ConfigError, match="other data"):
        start(5, few)


def test_pictures_are_shown_with_their_episodes_in_training_and_when_asked(tmp_path):
    """A model that is told names beside squares of two colours, and asked with the square alone."""
    for name, colour in (("r.png", "red"), ("g.png", "lime")):
        Image.new("RGB", (16, 16), colour).save(tmp_path / name)
    path = tmp_path / "squares.jsonl"
    lines = [
        [
            {"image": "r.png", "text": a},
            {"image": "g.png", "text": b},
            {"image": asked, "prompt": "", "answer": {"r.png": a, "g.png": b}[asked]},
        ]
        for a, b in itertools.permutations("abc", 2)
        for asked in ("r.png", "g.png")
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    few = SETTINGS.model_copy(update={"steps": 2, "batch_size": 4, "augment_affine": 0.1})
    corpus = file_corpus(CFG, (), (), (), tmp_path, sessions=(path,))
    train_run(CFG, few, corpus, tmp_path / "run", progress=False)
    model, seen = freeze_run(tmp_path / "run"), []
    running = GoldenSession(model)
    image = running.image
    running.image = lambda vectors: seen.append(int(vectors[0, 0])) or image(vectors)
    found = evaluate_sessions(model, read_sessions(path)[:2], on=running)
    assert found["items"] == 2 and seen == [255, 0, *[255] * 3, 255, 0, *[0] * 3]
    (tmp_path / "g.png").write_bytes(b"?")
    with pytest.raises(DataError, match=r"squares\.jsonl:1: .*g\.png"):
        evaluate_sessions(model, read_sessions(path))


def test_ages_and_conditions_of_any_model():
    sessions = [
        Session(("a is b", "x"), "a is", " b"),
        Session(("never",), "a is", " c"),
        Session(("a is d", "a is e", "e"), "a is", " e"),
    ]
    found = evaluate_sessions(byte_model(), sessions)
    assert found["items"] == 3 and {age: n for age, (_, n) in found["by_age"].items()} == {-1: 1, 1: 2}
    cells = list(sessions_table(found, "").columns[0].cells)
    assert cells == ["on", "off", "shuffled", "on, never told", "on, 2 to 4 episodes ago"]
