# SPDX-License-Identifier: Apache-2.0
"""Tokens on disk: what the lines say, however they were cut, and whatever interrupted the building."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from bitmar_tiny.data import shards
from bitmar_tiny.data.corpus import CaptionSet
from bitmar_tiny.data.lines import read_lines
from bitmar_tiny.data.mixture import Mixture
from bitmar_tiny.data.shards import build_tokens
from bitmar_tiny.data.tokenizer import EOS_TEXT, Tokenizer
from bitmar_tiny.data.tokens import Tokens, split
from bitmar_tiny.errors import DataError

BYTES = Tokenizer([*(bytes([b]) for b in range(256)), EOS_TEXT], [])
LINES = (
    "\n".join(
        f" line {i} " + "wörter " * (i % 7) + ("\x0c page" if i % 5 == 0 else "") for i in range(300)
    ).encode()
    + b"\n\n\xef\xbf\xbd broken\nno end"
)


@pytest.fixture
def corpus(tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.train").write_bytes(LINES)
    (tmp_path / "text" / "b.train").write_bytes(b"")
    (tmp_path / "text" / "c.train").write_text("last\n")
    return tmp_path


def samples(tokens: Tokens) -> list[bytes]:
    return [
        BYTES.decode_bytes(tokens.flat[a : a + n - 1])
        for a, n in zip(tokens.starts, tokens.sizes, strict=False)
    ]


@pytest.mark.parametrize("size", [1, 3, 17, 64, 1000, 1 << 20])
def test_however_files_are_cut_the_samples_are_the_lines(corpus, monkeypatch, size):
    """Cuts in the middle of lines, of characters and exactly at newlines."""
    monkeypatch.setattr(shards, "PIECE_BYTES", size)
    small = LINES[: 10 * size + 150]
    (corpus / "text" / "a.train").write_bytes(small)
    tokens = build_tokens(BYTES, [corpus / "text"], corpus / "cache", workers=1)
    assert samples(tokens) == [line.encode() for line in read_lines(corpus / "text")]
    assert (tokens.flat[tokens.starts + tokens.sizes - 1] == BYTES.eos).all()
    assert isinstance(tokens.flat, np.memmap) and tokens.n_tokens == len(tokens.flat)
    assert sorted(os.listdir(next((corpus / "cache").iterdir()))) == ["sizes.npy", "tokens.npy"]


def test_processes_give_what_one_gives(corpus, monkeypatch):
    alone = build_tokens(BYTES, [corpus / "text"], corpus / "one", workers=1)
    monkeypatch.setattr(shards, "PIECE_BYTES", 2000)
    seen = []
    several = build_tokens(
        BYTES,
        [corpus / "text"],
        corpus / "two",
        workers=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert np.array_equal(alone.flat, several.flat) and np.array_equal(alone.sizes, several.sizes)
    assert [done for done, _ in seen] == list(range(1, seen[-1][1] + 1)) and seen[-1][1] > 3


def test_an_interrupted_build_goes_on(corpus, monkeypatch):
    """Stopped after each number of pieces, and while they are joined: what is done is not done again."""
    monkeypatch.setattr(shards, "PIECE_BYTES", 3000)
    work, join = shards._tokenise, shards._join
    whole = build_tokens(BYTES, [corpus / "text"], corpus / "whole", workers=1)
    done = []

    def stop_later(tokenizer, piece, where):
        if len(done) in (1, 3):
            done.append(None)
            raise KeyboardInterrupt
        done.append(piece.number)
        work(tokenizer, piece, where)

    def stop_once(where, pieces):
        monkeypatch.setattr(shards, "_join", join)
        raise KeyboardInterrupt

    monkeypatch.setattr(shards, "_tokenise", stop_later)
    monkeypatch.setattr(shards, "_join", stop_once)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            build_tokens(BYTES, [corpus / "text"], corpus / "cache", workers=1)
    tokens = build_tokens(BYTES, [corpus / "text"], corpus / "cache", workers=1)
    numbers = [n for n in done if n is not None]
    assert len(numbers) == len(set(numbers)) > 2 and samples(tokens) == samples(whole)
    monkeypatch.setattr(shards, "_tokenise", None)  # a second time nothing is left to do
    assert samples(build_tokens(BYTES, [corpus / "text"], corpus / "cache")) == samples(whole)


def test_a_changed_source_is_tokenised_again(corpus):
    before = build_tokens(BYTES, [corpus / "text"], corpus / "cache", workers=1)
    (corpus / "text" / "c.train").write_text("other words\n")
    after = build_tokens(BYTES, [corpus / "text"], corpus / "cache", workers=1)
    assert samples(before)[-1] == b"last" and samples(after)[-1] == b"other words"


def test_captions(corpus, monkeypatch):
    monkeypatch.setattr(shards, "PIECE_CAPTIONS", 2)
    for name, captions in (("x.json", ["a cat", "a\nb", "c"]), ("y.json", ["d"])):
        (corpus / name).write_text(json.dumps(captions))
    tokens = build_tokens(
        BYTES, [corpus / "x.json", corpus / "y.json"], corpus / "cache", captions=True, workers=1
    )
    assert samples(tokens) == [b"a cat", b"a\nb", b"c", b"d"]
    with pytest.raises(DataError, match="missing.json"):
        build_tokens(BYTES, [corpus / "missing.json"], corpus / "cache", captions=True)


def test_training_sees_the_same_from_disk_as_from_memory(corpus):
    features = np.random.default_rng(0).integers(0, 256, (20, 4, 768), np.uint8)
    captions = CaptionSet([f"picture {i}" for i in range(20)], features)
    options = {"batch_size": 4, "max_len": 12, "seed": 1}
    memory = Mixture(BYTES, captions, range(15), list(read_lines(corpus / "text")), **options)
    disk = Mixture(
        BYTES,
        captions,
        range(15),
        build_tokens(BYTES, [corpus / "text"], corpus / "cache", workers=1),
        **options,
        caption_tokens=Tokens.encode(BYTES, captions.captions),
    )
    for step in range(40):
        a, b = memory.batch(step), disk.batch(step)
        assert (
            np.array_equal(a.tokens, b.tokens)
            and np.array_equal(a.labels, b.labels)
            and np.array_equal(a.source, b.source)
        )
        part = disk.batch(step, slice(1, 3))
        assert np.array_equal(part.source, b.source[1:3]) and part.total == b.lengths.sum()


def test_split_keeps_both_sides_apart_and_to_their_budgets():
    sizes = np.random.default_rng(0).integers(1, 30, 20_000).astype(np.int32)
    tokens = Tokens.of(np.zeros(sizes.sum(), np.uint16), sizes)
    train, held = split(tokens, 20_000, 100_000)
    assert not set(train) & set(held)
    assert (
        20_000 <= sizes[held].sum() < 20_000 + 256 * 30 and 100_000 <= sizes[train].sum() < 100_000 + 256 * 30
    )
    assert (np.diff(held) == 1).mean() > 0.98  # neighbours stay together
    rest, same = split(tokens, 20_000, 0)
    assert np.array_equal(held, same) and len(rest) + len(held) == len(sizes)
    assert [len(x) for x in split(tokens.take(np.arange(0)), 5, 5)] == [0, 0]


def test_features_in_several_files(tmp_path):
    parts = [
        np.random.default_rng(i).normal(size=(n, 3, 768)).astype(np.float16) for i, n in enumerate((5, 1, 7))
    ]
    for i, part in enumerate(parts):
        np.save(tmp_path / f"{i}.npy", part)
    (tmp_path / "a.json").write_text(json.dumps(["x"] * 4))
    (tmp_path / "b.json").write_text(json.dumps(["y"] * 9))
    features = [tmp_path / f"{i}.npy" for i in range(3)]
    captions = CaptionSet.load_all([tmp_path / "a.json", tmp_path / "b.json"], features)
    whole = np.concatenate(parts).astype(np.float32)
    chosen = np.array([12, 0, 5, 4, 6, 5])
    assert np.array_equal(captions.images(chosen), whole[chosen]) and np.array_equal(
        captions.image(5), whole[5]
    )
    np.save(tmp_path / "2.npy", parts[2].astype(np.float32))
    with pytest.raises(DataError, match="2.npy: rows of .* float32, those of"):
        CaptionSet.load_all([tmp_path / "a.json", tmp_path / "b.json"], features)
