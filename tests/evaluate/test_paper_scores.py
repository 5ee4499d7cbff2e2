# SPDX-License-Identifier: Apache-2.0
"""`bitmar-tiny paper scores`: every row beside what needs no training."""

import json
import zipfile

import numpy as np
import pytest
from command_line import run
from eval_support import byte_model, byte_tokenizer, write_jsonl

from bitmar_tiny.data.collect import build
from bitmar_tiny.data.files import write_json, write_npy
from bitmar_tiny.data.tokens import Tokens
from bitmar_tiny.evaluate import paper_scores
from bitmar_tiny.evaluate.choice import credit, evaluate_choice
from bitmar_tiny.evaluate.formats import Item, read_items
from bitmar_tiny.evaluate.perplexity import evaluate_perplexity
from bitmar_tiny.evaluate.suite import open_subject
from bitmar_tiny.evaluate.unigram import UnigramScorer

PAIRS = [
    {"sentence_good": f"The cat {n} sits.", "sentence_bad": f"The cat {n} sit.", "UID": "x"} for n in "abc"
]


def test_options_of_one_score_share_an_item():
    assert credit(np.array([1.0, 2.0, 2.0]), 1) == 0.5
    assert credit(np.array([1.0, 2.0, 2.0]), 0) == 0
    assert credit(np.array([3.0, 2.0, 2.0]), 0) == 1
    tokenizer = byte_tokenizer()
    unigram = UnigramScorer(Tokens.encode(tokenizer, ["abba"]), tokenizer.vocab_size)
    items = [Item(("",), ("ab", "ba"), 0), Item(("",), ("xx", "aa"), 0), Item(("",), ("aa", "xx"), 0)]
    r = evaluate_choice(unigram, items, tokenizer, 32)
    assert (r.accuracy, r.ties) == (0.5, 1)
    assert r.error == pytest.approx(np.std([0.5, 0, 1]) / np.sqrt(3))


def test_a_unigram_is_the_frequency_of_a_token_in_the_training_text():
    tokenizer = byte_tokenizer()
    unigram = UnigramScorer(Tokens.encode(tokenizer, ["aaab", "b"]), tokenizer.vocab_size)
    total = 7 + tokenizer.vocab_size  # five letters, two ends, and one for every token
    bits = -(2 * np.log2(4 / total) + np.log2(3 / total)) / 3
    assert evaluate_perplexity(unigram, ["aab"], tokenizer, 8)["bits_per_byte"] == pytest.approx(bits)


def test_blimp_is_read_out_of_its_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "BLiMP.zip", "w") as archive:
        archive.writestr("BLiMP/data/x.jsonl", "".join(json.dumps(p) + "\n" for p in PAIRS))
        archive.writestr("__MACOSX/BLiMP/data/._x.jsonl", b"\0\1")
    write_jsonl(tmp_path / "x.jsonl", *PAIRS)
    assert read_items("blimp", tmp_path / "BLiMP.zip") == read_items("blimp", tmp_path / "x.jsonl")
    (tmp_path / "half.zip").write_bytes((tmp_path / "BLiMP.zip").read_bytes()[:100])
    with pytest.raises(paper_scores.DataError, match=r"half.zip: cannot be read"):
        read_items("blimp", tmp_path / "half.zip")


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A corpus with pictures of two styles, and questions of the user's in place of the package's."""
    folder = tmp_path / "corpus"
    files = {"train/a.train": "the cat sits. it sits.\n" * 9, "held-out/a.dev": "a dog sits.\n" * 3}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
    row = {"files": {name: len(text) for name, text in files.items()}}
    write_json(folder / build.REPORT, {"schema": build.SCHEMA, "sources": [row]})
    model = byte_model()
    drawn = folder / f"pictures-{model.config.image_inputs}"
    drawn.mkdir()
    names = [f"thing {n}" for n in "abcd"] * 2
    write_json(drawn / "captions.json", names)
    write_json(drawn / "split.json", {"holdout": [1, 3, 5, 7], "holdout_concept": [1, 5]})
    pixels = np.random.default_rng(0).integers(0, 256, (8, model.config.image_inputs, 768), np.uint8)
    write_npy(drawn / "features.npy", pixels)
    model.save(tmp_path / "m.bitmar")
    questions = [{"question": "is it", "passage": f"It is {n}.", "answer": bool(n % 2)} for n in range(5)]
    monkeypatch.setattr(paper_scores, "ALONG", (f"boolq={write_jsonl(tmp_path / 'q.jsonl', *questions)}",))
    write_jsonl(tmp_path / "blimp.jsonl", *PAIRS)
    return folder


def test_every_row_stands_beside_what_needs_no_training(corpus, tmp_path):
    arguments = ("paper", "scores", "m.bitmar", "--corpus", "corpus", "--blimp", "blimp.jsonl")
    done = run(*arguments, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {row["task"]: row for row in json.loads(done.stdout)["rows"]}
    assert list(rows) == ["blimp", "boolq", "bits/byte", "captions"]
    assert rows["boolq"]["majority"] == 0.6 and rows["blimp"]["majority"] is None
    assert rows["blimp"]["unigram"] == 0  # the shorter is likelier
    assert rows["captions"]["items"] == 2 and rows["captions"]["chance"] == 0.5
    for row in rows.values():
        assert 0 <= row["ours"] and 0 <= row["untrained"]
    assert rows["bits/byte"]["unigram"] < rows["bits/byte"]["untrained"]
    shown = run(*arguments, cwd=tmp_path).stdout
    assert "48.7%" in shown and "66.5%" in shown


def test_the_memory_is_ablated_beside_the_scores(corpus, tmp_path):
    arguments = ("paper", "scores", "m.bitmar", "--corpus", "corpus", "--blimp", "blimp.jsonl")
    done = run(*arguments, "--ablate", "memory", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    tasks, rows = report["ablation"]["tasks"], {row["task"]: row for row in report["rows"]}
    assert list(tasks) == ["blimp", "perplexity", "captions"]
    assert tasks["perplexity"]["on"]["bits_per_byte"] == rows["bits/byte"]["ours"]
    for name in ("blimp", "captions"):
        assert tasks[name]["on"]["accuracy"] == rows[name]["ours"]
    for by in tasks.values():
        for other in ("off", "shuffled"):
            d = by["difference"][other]
            assert d["low"] <= d["value"] <= d["high"]
        assert not any(isinstance(v, list) for v in by["on"].values())  # of every item
    shown = run(*arguments, "--ablate", "memory", cwd=tmp_path).stdout
    assert "on - shuffled" in shown and "paired bootstrap" in shown and "bits/byte" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_an_untrained_network_has_the_same_shapes_and_other_weights(corpus, tmp_path):
    subject = open_subject(tmp_path / "m.bitmar")
    first, second = (paper_scores.untrained(subject) for _ in range(2))
    assert first.config == subject.config
    for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert (a == b).all()


def test_without_a_corpus_it_says_how_to_get_one(tmp_path):
    byte_model().save(tmp_path / "m.bitmar")
    done = run("paper", "scores", "m.bitmar", cwd=tmp_path)
    assert done.returncode == 2 and "Run: bitmar-tiny corpus -o corpus" in done.stderr
