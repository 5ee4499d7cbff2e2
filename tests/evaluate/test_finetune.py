# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning before scoring: it learns, goes on after a kill, and is a run like any other."""

import numpy as np
import pytest
import torch
from command_line import run
from eval_support import byte_model

from bitmar_tiny.errors import ConfigError, DataError
from bitmar_tiny.evaluate import finetune as module
from bitmar_tiny.evaluate.choice import evaluate_choice
from bitmar_tiny.evaluate.finetune import Questions, answer_logits, finetune
from bitmar_tiny.evaluate.formats import Item
from bitmar_tiny.evaluate.labelled import boolq_training_items, labelled_items
from bitmar_tiny.evaluate.suite import open_scorer, open_subject
from bitmar_tiny.train import checkpoint

ITEMS = [
    Item((f"{'+' * (3 + n % 3) if n % 2 else '-' * (3 + n % 3)}",), ("n", "y"), n % 2) for n in range(24)
]


@pytest.fixture
def subject(tmp_path):
    byte_model().save(tmp_path / "m.bitmar")
    return open_subject(tmp_path / "m.bitmar")


def weights(out):
    return checkpoint.load(out)["model"]


def test_it_learns_what_the_questions_say(subject, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SETTINGS", module.SETTINGS.model_copy(update={"lr": 5e-3}))
    monkeypatch.setattr(module, "WARMUP", 5)
    tuned = finetune(subject, ITEMS, tmp_path / "out", 60)
    with open_scorer(tuned) as scorer:
        assert evaluate_choice(scorer, ITEMS, tuned.tokenizer, 32).accuracy > 0.9
    assert open_subject(tmp_path / "out").config == subject.config  # a run like any other
    with pytest.raises(ConfigError, match="holds another run"):
        finetune(subject, ITEMS, tmp_path / "out", 61)
    with pytest.raises(ConfigError, match="holds another run"):
        finetune(subject, ITEMS[:9], tmp_path / "out", 60)


def test_a_run_that_was_killed_ends_with_the_same_weights(subject, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 2)
    finetune(subject, ITEMS, tmp_path / "whole", 7)

    def killed(done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(subject, ITEMS, tmp_path / "killed", 7, killed)
    assert checkpoint.load(tmp_path / "killed")["step"] == 4
    finetune(subject, ITEMS, tmp_path / "killed", 7)
    whole, again = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(whole[k], again[k]) for k in whole)


def test_logits_of_the_answers_are_those_of_the_whole_head(subject):
    questions = Questions.of(ITEMS, subject.tokenizer, subject.config.n_positions)
    tokens, lengths, gold = questions.batch(1)
    model = subject.torch()
    found = answer_logits(model, tokens, lengths, questions.answers)
    for row, (stream, n) in enumerate(zip(tokens, lengths.tolist(), strict=True)):
        alone = model(stream[None, :n]).logits[0, -1, questions.answers]
        assert torch.allclose(found[row], alone, rtol=1e-5)
    assert set(gold.tolist()) == {0, 1}
    seen = [c for step in range(3) for c in questions.batch(step)[2].tolist()]
    assert sum(seen[:24]) == 12  # one epoch sees every question once


def test_answers_that_begin_alike_are_refused(subject):
    with pytest.raises(DataError, match="begin with the same token"):
        Questions.of([Item(("a",), (" no", " yes"), 0)], subject.tokenizer, 8)


def test_training_questions_share_no_passage_with_those_that_are_scored():
    try:
        train, dev = boolq_training_items(), labelled_items("boolq")
    except DataError as error:
        pytest.skip(str(error))
    passage = [{i.contexts[0].partition("\nQuestion:")[0] for i in items} for items in (train, dev)]
    assert len(train) > 9000 and not passage[0] & passage[1]
    assert 0.55 < np.mean([i.gold for i in train]) < 0.7


def test_finetuning_goes_with_boolq_alone(tmp_path, subject):
    for more in (("piqa",), ("boolq", "--ablate", "memory"), ("boolq", "--on", "golden")):
        done = run("eval", "m.bitmar", *more, "--finetune", "out", cwd=tmp_path)
        assert done.returncode == 2 and "--finetune trains and scores boolq" in done.stderr
