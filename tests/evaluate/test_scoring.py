# SPDX-License-Identifier: Apache-2.0
"""Scores are log-probabilities, and the same bits from PyTorch, the golden model and the C program."""

from __future__ import annotations

import numpy as np
import pytest
from eval_support import byte_model, byte_tokenizer
from support import TINY, need

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.errors import DataError, DeviceError
from bitmar_tiny.evaluate.choice import evaluate_choice, queries, spearman
from bitmar_tiny.evaluate.formats import Item
from bitmar_tiny.evaluate.perplexity import evaluate_perplexity
from bitmar_tiny.evaluate.retrieval import evaluate_retrieval, likelihood_matrix, ranks
from bitmar_tiny.evaluate.scoring import Likelihood, Query, SessionScorer, TorchScorer, likelihood
from bitmar_tiny.evaluate.suite import Subject, open_scorer, shuffle_memory
from bitmar_tiny.golden.model import GoldenModel
from bitmar_tiny.model.export import load_frozen
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.run.golden import GoldenSession
from bitmar_tiny.run.session import Scored, open_session
from bitmar_tiny.verify.script import random_image

EOS = TINY.vocab_size - 1


@pytest.fixture(scope="module")
def model():
    return byte_model()


@pytest.fixture(scope="module")
def program(model):
    need("host", "gcc")
    with open_session("host", model) as session:
        yield SessionScorer(session)


@pytest.fixture(scope="module")
def asked():
    """Contexts of every length up to past the window, several continuations of one context, with and without
    an image.
    """
    rng = np.random.default_rng(3)
    pictures = [None, random_image(TINY, rng), random_image(TINY, rng)]
    found = []
    for n in (0, 1, 5, 9, 30):
        context = (EOS, *rng.integers(0, EOS, n).tolist())
        found += [
            Query(context, tuple(rng.integers(0, EOS, k).tolist()), pictures[n % 3]) for k in (1, 4, 1, 12)
        ]
    return found


def test_likelihoods_are_those_of_a_plain_walk(model, asked):
    """No sharing, no batches: token by token from the beginning."""
    for q, found in zip(asked, SessionScorer(GoldenSession(model)).score(asked), strict=False):
        golden = GoldenModel(model.config, model.arrays)
        if q.image is not None:
            golden.set_image(q.image)
        logits = np.array([golden.logits(golden.step(t)) for t in q.inputs])[-len(q.continuation) :].astype(
            np.float64
        )
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert np.allclose(found.log_probs, np.log(p[np.arange(len(p)), list(q.continuation)]), atol=1e-9)
        assert found.greedy == (logits.argmax(1).tolist() == list(q.continuation))


def test_torch_golden_and_c_give_the_same_bits(model, asked, program):
    results = [
        scorer.score(asked)
        for scorer in (SessionScorer(GoldenSession(model)), TorchScorer(load_frozen(model)), program)
    ]
    for a, b, c in zip(*results, strict=False):
        assert np.array_equal(a.log_probs, b.log_probs) and np.array_equal(a.log_probs, c.log_probs)
        assert a.greedy == b.greedy == c.greedy


def test_memory_off_and_shuffled_by_every_way(model, asked, program):
    need("host", "gcc")
    on = [f.total for f in program.score(asked)]
    for memory in ("off", "shuffled"):
        found = []
        for on in ("golden", "torch", "host"):
            with open_scorer(Subject("m", model, None, byte_tokenizer()), on, memory) as scorer:
                found.append([f.total for f in scorer.score(asked)])
        assert found[0] == found[1] == found[2] != on


def test_shuffling_keeps_the_values(model):
    mixed = shuffle_memory(model).arrays["memory.m.codes"]
    assert (
        sorted(mixed.ravel()) == sorted(model.arrays["memory.m.codes"].ravel())
        and (mixed != model.arrays["memory.m.codes"]).any()
    )


def test_probabilities_of_all_tokens_add_up_to_one(model, program):
    total = sum(
        np.exp(f.total) for f in program.score([Query((EOS, 3, 4), (t,)) for t in range(TINY.vocab_size)])
    )
    assert total == pytest.approx(1, abs=1e-9)


def test_greedy_is_what_the_model_writes(model):
    golden, token, written = GoldenModel(model.config, model.arrays), EOS, []
    for _ in range(6):
        token = int(golden.step(token).argmax())
        written.append(token)
    right = Query((EOS,), tuple(written))
    wrong = Query((EOS,), (*written[:-1], (written[-1] + 1) % EOS))
    assert [f.greedy for f in TorchScorer(load_frozen(model)).score([right, wrong])] == [True, False]


def test_likelihood_of_known_logits():
    rows = np.log(np.array([[1, 2, 1], [6, 1, 1]], np.float32))
    found = likelihood(
        [Scored.of(row, np.float32(1), token) for row, token in zip(rows, [1, 2], strict=False)], [1, 2]
    )
    assert (
        np.allclose(found.log_probs, np.log([0.5, 0.125]))
        and not found.greedy
        and found.total == pytest.approx(np.log(0.0625))
    )


def test_requests_that_make_no_sense_are_refused(program):
    session, score = program.session, lambda *asked: list(program.session.score(*asked))
    session.begin()
    for ask, words in (
        (lambda: score([], [[1]]), "wrong size or order"),  # before the first step
        (lambda: score([EOS], []), "wrong size or order"),
        (lambda: score([EOS], [[1], []]), "wrong size or order"),
        (lambda: score([1 << 20], [[1]]), "outside the vocabulary"),
        (lambda: score([EOS], [[1, 1 << 20]]), "outside the vocabulary"),
    ):
        with pytest.raises(DeviceError, match=words):
            ask()


def test_a_program_that_dies_is_one_sentence(model):
    need("host", "gcc")
    with open_session("host", model) as session:
        session.channel.link.line.process.kill()
        with pytest.raises(DeviceError, match="ended with status -9"):
            SessionScorer(session).score([Query((EOS,), (1,))])


def test_a_small_table_of_counts_takes_several_passes(model, tmp_path):
    """As on a board with little RAM, whose logits do not fit the table; and without a kept state."""
    need("host", "gcc")
    project = emit(model, load_board("host"), tmp_path / "p")
    source = project.sources / "linux_link.c"
    text = source.read_text().replace("#define COUNTS 32768u", "#define COUNTS 7u")
    room = "bm_serve_room(&server, counts, COUNTS, &kept, arena);"
    assert room in text
    source.write_text(text.replace(room, "(void)kept; " + room.replace("&kept", "NULL")))
    program = build(project.path, project.board, project.family)
    queries = [Query((EOS, 3), (1, 2)), Query((EOS, 3), (4,))]
    with ProgramSession(program, project.board) as session:
        assert not session.can_keep
        found = SessionScorer(session).score(queries)
    for a, b in zip(found, SessionScorer(GoldenSession(model)).score(queries), strict=False):
        assert np.array_equal(a.log_probs, b.log_probs) and a.greedy == b.greedy


# -- choices ----------------------------------------------------------------------------------------


class Fixed:
    """A scorer that knows every continuation's log-probability by its length."""

    name = "fixed"

    def __init__(self, per_token: float) -> None:
        self.per_token = per_token

    def score(self, asked, progress=None):
        return [Likelihood(np.full(len(q.continuation), self.per_token), False) for q in asked]


def test_sum_prefers_short_options_and_the_mean_does_not():
    items = [Item(("c",), (" long option", " o"), 1), Item(("c",), (" o", " long option"), 1)]
    found = evaluate_choice(Fixed(-1.0), items, byte_tokenizer(), 20)
    assert found.picks == [1, 0] and found.accuracy == 0.5
    assert found.accuracy_norm == 0.5  # 13 tokens for 11 bytes beat 2 for 1: the long option both times
    assert (found.chance, found.majority, found.items) == (0.5, 1.0, 2)


def test_contexts_lose_their_beginning_and_options_see_equally_much():
    tokenizer = byte_tokenizer()
    items = [Item(("abcdefghij ",), ("xyz", "u"), 0), Item(("ab",), ("x", "y"), 0)]
    found, cut = queries(items, tokenizer, 8)
    texts = [(tokenizer.decode(q.context[1:]), tokenizer.decode(q.continuation), q.context[0]) for q in found]
    assert (
        texts == [("ghij", " xyz", EOS), ("ghij", " u", EOS), ("ab", "x", EOS), ("ab", "y", EOS)] and cut == 1
    )
    assert max(len(q.inputs) for q in found) == 8


def test_a_model_picks_what_it_would_write(model):
    """The right option is the model's own greedy continuation, the other one differs in the first byte."""
    tokenizer, golden, items = byte_tokenizer(), GoldenModel(model.config, model.arrays), []
    for text in ("the cat", "a dog ", "3 + 4"):
        golden.begin_episode()
        for token in (EOS, *tokenizer.encode(text.rstrip())):
            acc = golden.step(token)
        best, worst = int(acc[:EOS].argmax()), int(acc[:EOS].argmin())
        items.append((text, best, worst))
    found = queries([Item((t.rstrip(),), ("a", "b"), 0) for t, _, _ in items], tokenizer, 40)[0]
    asked = [Query(found[2 * i].context, (t,)) for i, (_, *pair) in enumerate(items) for t in pair]
    totals = [f.total for f in SessionScorer(GoldenSession(model)).score(asked)]
    assert all(a > b for a, b in zip(totals[::2], totals[1::2], strict=False))


def test_groups_majority_and_people():
    items = [
        Item(("",), ("ab", "a"), g, group, human=h)
        for g, group, h in ((0, "x", 0.1), (1, "x", 0.9), (1, "y", 0.5))
    ]
    found = evaluate_choice(Fixed(-1.0), items, byte_tokenizer(), 9)
    assert found.groups == {"x": 0.5, "y": 1.0} and found.majority == 2 / 3 and found.correlation == 0.0


def test_spearman_with_ties():
    assert spearman(np.array([1.0, 2, 3]), np.array([10.0, 20, 30])) == pytest.approx(1)
    assert spearman(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == pytest.approx(-1)
    assert spearman(np.array([1.0, 2, 2, 3]), np.array([1.0, 2, 3, 4])) == pytest.approx(
        0.9486833
    )  # scipy.stats.spearmanr


def test_nothing_to_score_is_one_sentence():
    with pytest.raises(DataError, match="no item"):
        evaluate_choice(Fixed(-1.0), [], byte_tokenizer(), 9)
    with pytest.raises(DataError, match="is empty"):
        evaluate_choice(Fixed(-1.0), [Item(("a",), ("b", ""), 0)], byte_tokenizer(), 9)
    with pytest.raises(DataError, match="no text"):
        evaluate_perplexity(Fixed(-1.0), [], byte_tokenizer(), 9)
    with pytest.raises(DataError, match="image 7"):
        evaluate_choice(
            Fixed(-1.0),
            [Item(("a",), ("b", "c"), 0, image=7)],
            byte_tokenizer(),
            9,
            np.zeros((2, 4, 768), np.float32),
        )


def test_perplexity_of_a_uniform_guess():
    found = evaluate_perplexity(Fixed(-np.log(256)), ["abcdefghij", "xx"], byte_tokenizer(), 4)
    assert found["perplexity"] == pytest.approx(256) and found["bits_per_byte"] == pytest.approx(8)
    assert (found["tokens"], found["bytes"], found["streams"]) == (12, 12, 4) and 1 < found["unigram"] < 12


# -- retrieval --------------------------------------------------------------------------------------


def test_ranks():
    scores = np.array([[3.0, 1, 2], [5, 4, 6], [1, 1, 1]])
    assert ranks(scores).tolist() == [1, 3, 2]


def test_retrieval_by_likelihood_is_the_same_by_every_way(model, program):
    rng = np.random.default_rng(5)
    pictures = np.stack([random_image(TINY, rng) for _ in range(4)])
    names = ["a cat", "dog", "a red fish", "sun"]
    matrices = [
        likelihood_matrix(s, names, pictures, byte_tokenizer())
        for s in (SessionScorer(GoldenSession(model)), TorchScorer(load_frozen(model)), program)
    ]
    assert np.array_equal(matrices[0], matrices[1]) and np.array_equal(matrices[0], matrices[2])
    found = evaluate_retrieval(TorchScorer(load_frozen(model)), names, pictures, byte_tokenizer())
    assert set(found["cosine"]) == set(found["likelihood"]) == {"image_to_text", "text_to_image"}
    assert (
        found["chance"]["recall_at_1"] == 0.25 and 1 <= found["cosine"]["image_to_text"]["median_rank"] <= 4
    )
