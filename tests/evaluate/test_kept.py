# SPDX-License-Identifier: Apache-2.0
"""Scores on the disk: each query is scored once, to the last bit, whatever cut the file short."""

from __future__ import annotations

import numpy as np
import pytest

from bitmar_tiny.errors import DataError
from bitmar_tiny.evaluate import kept
from bitmar_tiny.evaluate.kept import KeptScorer, kept_file
from bitmar_tiny.evaluate.scoring import Likelihood, Query


class Counting:
    """Draws log-probabilities, and notes what it was asked."""

    name = "counting"

    def __init__(self, most: int = 1000) -> None:
        self.rng, self.asked, self.most = np.random.default_rng(0), 0, most

    def score(self, queries, progress=None):
        if self.asked + len(queries) > self.most:
            raise KeyboardInterrupt
        self.asked += len(queries)
        return [Likelihood(np.log(self.rng.random(len(q.continuation))), True) for q in queries]


QUERIES = [Query((256, n), (n, 7)) for n in range(10)] + [
    Query((256,), (1,), np.full((2, 3), 0.5, np.float32))
]


def totals(found):
    return [f.log_probs.tolist() for f in found]


def test_each_query_is_scored_once(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "AT_ONCE", 4)
    path, seen = tmp_path / "k.jsonl", []
    with pytest.raises(KeyboardInterrupt):
        KeptScorer(Counting(most=8), path).score(QUERIES)
    second = Counting()
    whole = KeptScorer(second, path).score(QUERIES, lambda done, total: seen.append((done, total)))
    assert second.asked == len(QUERIES) - 8
    assert seen == [(8, 11), (11, 11)]
    third = Counting()
    again = KeptScorer(third, path).score(QUERIES[::-1])
    assert third.asked == 0 and totals(again[::-1]) == totals(whole) and all(f.greedy for f in again)


def test_a_line_cut_short_anywhere_costs_that_line_alone(tmp_path):
    path = tmp_path / "k.jsonl"
    KeptScorer(Counting(), path).score(QUERIES)
    raw = path.read_bytes()
    for cut in (1, 40, len(raw) - 2):
        path.write_bytes(raw[:cut])
        scorer = Counting()
        KeptScorer(scorer, path).score(QUERIES)
        assert scorer.asked == len(QUERIES) - raw[:cut].count(b"\n")
        assert len(path.read_bytes().splitlines()) == len(QUERIES)


def test_models_targets_and_states_of_the_memory_have_files_of_their_own(tmp_path):
    some = [("a", "golden", "on"), ("b", "golden", "on"), ("a", "host", "on"), ("a", "golden", "off")]
    assert len({kept_file(tmp_path, *one) for one in some}) == 4
    assert kept_file(tmp_path, "a", "socket://x:1/../..", "on").parent == tmp_path


def test_another_picture_is_another_query():
    one, two = (Query((256,), (1,), np.full((2, 3), x, np.float32)) for x in (0.5, 0.25))
    assert len({kept._key(q) for q in (one, two, Query((256,), (1,)), Query((256, 1), (1,)))}) == 4


def test_a_folder_in_its_place_is_one_sentence(tmp_path):
    (tmp_path / "k.jsonl").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        KeptScorer(Counting(), tmp_path / "k.jsonl")
