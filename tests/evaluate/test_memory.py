# SPDX-License-Identifier: Apache-2.0
"""Does the memory matter: the experiment is what it says, its controls cannot see the answer, and ablation
compares like with like.
"""

from __future__ import annotations

import numpy as np
import pytest
from eval_support import byte_model, byte_tokenizer, write_jsonl
from support import need

from bitmar_tiny.evaluate import ablate
from bitmar_tiny.evaluate.ablate import ablate_tasks, measure_cost
from bitmar_tiny.evaluate.entity import (
    BOXES,
    CONDITIONS,
    EOS,
    Experiment,
    config,
    entity_memory,
    episodes,
    fact,
    question,
)
from bitmar_tiny.evaluate.paired import difference
from bitmar_tiny.evaluate.suite import MEMORY, Subject, text_task
from bitmar_tiny.frozen import random_model
from bitmar_tiny.report.evaluation import ablation_table, cost_table, entity_table


def test_episodes_are_the_same_for_the_same_seed():
    a, b, c = (episodes(seed, 3) for seed in (1, 1, 2))
    rounds = [np.array([next(e) for _ in range(50)]) for e in (a, b, c)]
    assert (rounds[0] == rounds[1]).all() and (rounds[0] != rounds[2]).any()
    assert (
        set(rounds[0].ravel()) == set(range(len(BOXES)))
        and fact(2, 1) == [2, 5]
        and EOS == config(2).vocab_size - 1
    )


def test_without_memory_the_answer_is_always_the_same():
    """Nothing in the asking stream tells the box: with the memory off a model of one thing has one answer,
    whatever was written.
    """
    e = Experiment("random weights", 1, 0)
    found = question(random_model(config(2), seed=3), e)
    assert set(found) == {*CONDITIONS, "majority"} and 0 <= found["off"] <= found["majority"]
    asked = np.array([boxes[0] for _, boxes in zip(range(200), episodes(1, 1), strict=False)])
    shares = [float((asked == box).mean()) for box in range(len(BOXES))]
    assert found["off"] in shares and found["majority"] == max(shares)


def test_a_model_that_sees_the_fact_learns_to_answer():
    """Fact and question in one stream need no memory: the experiment itself can be learned."""
    (found,) = entity_memory(experiments=[Experiment("one stream", 1, 80, one_stream=True)])
    assert found["on"] > 0.9 and found["off"] > 0.9 and found["questions"] == 200
    assert "one stream" in str(entity_table([found]).columns[0]._cells)


def test_training_carries_a_fact_to_a_later_episode():
    """By the training loop's own steps: with the gradient the queries of different facts come apart and the
    fact is found; without, not.

    Which answers a run gets right depends on last digits: of four whose weights differed by 1e-6 one ended at
    94%, the others at 100% (after 450 steps from 57% to 100%). So a run that did not find the fact is
    followed by another, from other weights."""
    (kept,) = entity_memory(experiments=[Experiment("queries kept", 1, 100, gradient=False)])
    assert kept["query_cosine"] > 0.9 and kept["on"] < 0.5
    for seed in range(3):
        (learned,) = entity_memory(experiments=[Experiment("one fact", 1, 700, slots=8)], seed=seed)
        assert learned["query_cosine"] < 0.9 and max(learned["off"], learned["shuffled"]) < 0.5
        if learned["on"] > 0.7:
            break
    assert learned["on"] > 0.7


@pytest.fixture(scope="module")
def subject():
    return Subject("m", byte_model(), None, byte_tokenizer())


def test_ablation_runs_every_task_in_every_condition(subject, tmp_path):
    rows = [{"goal": f"g{i}", "sol1": "ab"[i % 2], "sol2": "cd", "label": i % 2} for i in range(8)]
    (tmp_path / "text").write_text("some text\nand more\n")
    tasks = [
        text_task(f"piqa={write_jsonl(tmp_path / 'p.jsonl', *rows)}", subject),
        text_task(f"perplexity={tmp_path / 'text'}", subject),
    ]
    found = ablate_tasks(subject, tasks, "torch", lambda label: None)
    assert [set(by) for by in found.values()] == [{"on", "off", "shuffled", "difference"}] * 2
    assert len({found["perplexity"][c]["perplexity"] for c in MEMORY}) == 3
    for by in found.values():
        for other, d in by["difference"].items():
            key = "bits_per_byte" if "bits_per_byte" in by["on"] else "accuracy"
            assert d["value"] == pytest.approx(by["on"][key] - by[other][key])
            assert d["low"] <= d["value"] <= d["high"]
    again = ablate_tasks(
        subject, tasks, "torch", lambda label: None, known={n: by["on"] for n, by in found.items()}
    )
    assert again == found
    assert ablation_table(found, "").row_count == 2


def test_the_interval_of_a_difference_is_that_of_pairs():
    """Its width is that of the normal distribution where items are many, and nothing between like items."""
    rng = np.random.default_rng(0)
    a, b = ({"credits": rng.integers(0, 2, 2000).astype(float).tolist()} for _ in range(2))
    assert difference(a, a) == {"value": 0, "low": 0, "high": 0}
    found, change = difference(a, b), np.array(a["credits"]) - b["credits"]
    assert found["value"] == pytest.approx(change.mean())
    width = 2 * 1.96 * change.std() / 2000**0.5
    assert found["high"] - found["low"] == pytest.approx(width, rel=0.1)
    better = {"credits": [1.0] * 2000}
    assert difference(better, b)["low"] > 0 and difference(b, better)["high"] < 0
    assert difference(a | {"correlation": 0.5}, b) is None


def test_a_long_sample_weighs_as_its_bytes_do():
    on, off = (
        {"sample_bits": [10.0, 1.0], "sample_bytes": [99, 1]},
        {"sample_bits": [12.0, 1.0], "sample_bytes": [99, 1]},
    )
    found = difference(on, off)
    assert found["value"] == pytest.approx(-2 / 100)
    assert (found["low"], found["high"]) == (pytest.approx(-2 / 99), 0)


def test_cost_is_measured_with_the_memory_read_and_unread(subject, monkeypatch):
    need("host", "gcc")
    monkeypatch.setattr(ablate, "ROUNDS", 1)
    found = measure_cost(subject, "host", watts=2.0)
    assert found["label"] == "measured" and found["memory_bytes"] >= 70 * 64
    for state in ("on", "off"):
        assert found[state]["joules_per_token"] == pytest.approx(2.0 / found[state]["tokens_per_second"])
    assert cost_table(found).row_count == 5 and "estimated" in str(cost_table(found).columns[3]._cells)
