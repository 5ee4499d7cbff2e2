# SPDX-License-Identifier: Apache-2.0
"""Captions by style: who counts as known, and every picture in the right row."""

import numpy as np

from bitmar_tiny.data.corpus import CaptionSet
from bitmar_tiny.evaluate import styles
from bitmar_tiny.evaluate.styles import groups, knowledge, score_styles
from bitmar_tiny.report.evaluation import style_table


def test_known_names_and_concepts():
    labels = knowledge(
        ["dog", "thumbs up", "thumbs up dark skin tone", "cat"], ["dog", "thumbs up light skin tone"]
    )
    assert labels == ["name trained on", "concept trained on", "concept trained on", "neither"]
    found = groups(labels)
    assert {k: v.tolist() for k, v in found.items()} == {
        "name trained on": [0],
        "concept trained on": [1, 2],
        "neither": [3],
        "any": [0, 1, 2, 3],
    }
    assert set(groups(["neither"])) == {"neither"}


def test_rows(monkeypatch):
    names = ["dog", "dog light skin tone", "cat", "dog", "cat", "cow"]
    captions = CaptionSet(
        names, np.arange(6, dtype=np.float32)[:, None, None] * np.ones((1, 1, 768), np.float32)
    )
    split = {"holdout": [1, 2, 4], "styles": {"a": [0, 3], "b": [3, 6]}}
    monkeypatch.setattr(
        styles,
        "predict",
        lambda model, images, n, tokenizer: [names[int(i)] if i != 2 else "no" for i in images[:, 0, 0]],
    )
    monkeypatch.setattr(
        styles,
        "draw_style",
        lambda folder, n: ("new", ["dog", "cow"], np.array([[[0.0]], [[0.0]]], np.float32)),
    )
    rows = score_styles(None, captions, split, None, ["folder"])
    short = [(r["style"], r["seen"], r["known"], r["pictures"], r["exact"]) for r in rows]
    assert short == [
        ("a", True, "concept trained on", 1, 1.0),
        ("a", True, "neither", 1, 0.0),
        ("a", True, "any", 2, 0.5),
        ("b", True, "neither", 1, 1.0),
        ("new", False, "name trained on", 2, 0.5),
    ]
    assert style_table(rows).row_count == 5
