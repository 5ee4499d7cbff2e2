# SPDX-License-Identifier: Apache-2.0
"""The encoder in Python gives the ids of the ``tokenizers`` package, and does not need it."""

from __future__ import annotations

import itertools
import random
import sys

import numpy as np
import pytest
from data.hard_texts import WRITTEN, assigned, between, long_pieces, random_texts, revealing

from bitmar_tiny.codegen import unicode_tables
from bitmar_tiny.data import tokenizer as module
from bitmar_tiny.data import unicode_classes
from bitmar_tiny.data.bpe import Encoder, splitter
from bitmar_tiny.data.tokenizer import Tokenizer
from bitmar_tiny.data.tokenizer_train import train_tokenizer
from bitmar_tiny.errors import DataError, ToolError
from bitmar_tiny.frozen import FrozenModel
from bitmar_tiny.frozen.shipped import MODELS


@pytest.fixture
def bare(monkeypatch):
    """No ``tokenizers`` package."""
    monkeypatch.setattr(module, "installed", lambda name: False)
    monkeypatch.setitem(sys.modules, "tokenizers", None)


def compare(tokenizer, texts):
    pytest.importorskip("tokenizers", reason="pip install 'bitmar-tiny[train]'")
    encode = Encoder(tokenizer.tokens, tokenizer.merges).encode
    for text, ids in zip(texts, module._engine(tokenizer.tokens, tokenizer.merges)(texts), strict=True):
        assert encode(text) == ids, ascii(text)


def test_the_whole_vocabulary(gpt2):
    compare(gpt2, [*WRITTEN, *random_texts(1000, 7), *long_pieces()])


def test_pruned_vocabularies(gpt2):
    texts = [*WRITTEN, *random_texts(400, 8)]
    for size in (257, 258, 700, 4096):
        compare(gpt2.prune(texts[:100], size), texts)


@pytest.mark.parametrize("name", ["demo", "recall"])
def test_vocabularies_of_the_shipped_models(name):
    model = FrozenModel.load(MODELS / f"{name}.bitmar")
    compare(Tokenizer.from_bytes(model.tokenizer), [*WRITTEN, *random_texts(400, 9)])


def test_every_assigned_character_is_classed_alike():
    """All in a row are cut in the same places, so what ours classes alike the package does; and which class
    that is, the first and the last of each row show.
    """
    tokenizers = pytest.importorskip("tokenizers", reason="pip install 'bitmar-tiny[train]'")
    split = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True).pre_tokenize_str
    characters = assigned()
    whole = "".join(characters)
    assert [m.span() for m in splitter().finditer(whole)] == [span for _, span in split(whole)]
    starts = [start >> 2 for start in unicode_classes.STARTS]
    edges = {chr(c) for c in (*starts, *(start - 1 for start in starts[1:]))}
    compare(revealing(), between([c for c in characters if c in edges]))


def test_bytes_as_text(gpt2):
    rng = random.Random(5)
    some = [rng.randbytes(rng.randrange(80)) for _ in range(400)]
    texts = [b.decode(how, "replace") for b in some for how in ("latin-1", "utf-8", "utf-16-le")]
    compare(gpt2, texts)
    compare(gpt2.prune([], 600), texts)


def test_every_short_text_of_a_hard_alphabet():
    """Contractions, and spaces before everything: each order of them."""
    compare(revealing(), ["".join(t) for n in range(6) for t in itertools.product("a1! '\n", repeat=n)])
    compare(revealing(), ["".join(t) for n in range(5) for t in itertools.product("'strevmld ", repeat=n)])


def test_merges_that_cross_are_taken_by_rank_then_from_the_left():
    """Random vocabularies over three letters, where nearly every pair may merge."""
    rng = random.Random(11)
    for _ in range(20):
        tokens, merges = [bytes([b]) for b in range(256)], []
        pool = [*b"abc"]
        while len(merges) < 40:
            left, right = rng.choice(pool), rng.choice(pool)
            if tokens[left] + tokens[right] not in tokens:
                pool.append(len(tokens))
                merges.append((left, right))
                tokens.append(tokens[left] + tokens[right])
        compare(
            Tokenizer([*tokens, module.EOS_TEXT], merges),
            ["".join(rng.choices("abc", k=rng.randrange(1, 50))) for _ in range(50)],
        )


def test_pieces_are_the_text():
    for text in [*WRITTEN, *random_texts(200, 3)]:
        assert "".join(splitter().findall(text)) == text


def test_without_the_package_everything_but_training_works(bare):
    tokenizer = revealing()
    texts = [*WRITTEN, *random_texts(20, 4)]
    for text, ids in zip(texts, tokenizer.encode_batch(iter(texts)), strict=True):
        assert ids.dtype == np.uint16 and ids.tolist() == tokenizer.encode(text)
        assert tokenizer.decode(ids.tolist()) == text
    assert tokenizer.prune(["a! 1b"], 300).vocab_size == 300
    for wrong in ("a\ud800b", b"bytes", None):
        with pytest.raises(DataError, match="surrogate"):
            tokenizer.encode(wrong)


def test_training_without_the_package_names_the_extra(bare, monkeypatch):
    monkeypatch.setattr("bitmar_tiny.extras.installed", lambda name: False)
    with pytest.raises(ToolError, match=r"tokenizers.*pip install 'bitmar-tiny\[train\]'"):
        train_tokenizer(["a text"], 300)


def test_both_tables_are_one():
    version, starts = unicode_classes.UNICODE, unicode_classes.STARTS
    c, python = unicode_tables.files()
    assert c.read_text() == unicode_tables.render_c(version, starts)
    assert python.read_text() == unicode_tables.render_python(version, starts)


def test_the_tables_are_as_generated():
    if unicode_classes.UNICODE != unicode_tables.unicodedata.unidata_version:
        pytest.skip("the tables were made from another Unicode version: pip install unicodedata2==16.0.0")
    assert unicode_tables.class_starts() == unicode_classes.STARTS
