# SPDX-License-Identifier: Apache-2.0
"""Models made smaller after training: what stays is unchanged, what changes is another model."""

import numpy as np
import pytest

from bitmar_tiny.arch.config import ModelConfig
from bitmar_tiny.data.tokenizer import MIN_VOCAB, Tokenizer
from bitmar_tiny.errors import ConfigError
from bitmar_tiny.frozen import FrozenModel, random_model
from bitmar_tiny.frozen.doubt import with_doubt
from bitmar_tiny.frozen.shrink import with_vocabulary, with_window
from bitmar_tiny.golden.model import GoldenModel


def logits(model: FrozenModel, tokens: np.ndarray) -> np.ndarray:
    golden = GoldenModel(model.config, model.arrays)
    return np.array([golden.step(int(t)) for t in tokens])


def spelled(n: int) -> Tokenizer:
    """The bytes and n merges: "aa", "aab", "aabb" and so on."""
    tokens, merges = [bytes([b]) for b in range(256)], []
    for i in range(n):
        left, right = (255 + i if i else 97), 97 + i % 2
        merges.append((left, right))
        tokens.append(tokens[left] + tokens[right])
    return Tokenizer([*tokens, b"<|endoftext|>"], merges)


def test_a_pruned_vocabulary_keeps_every_logit_that_stays(odd):
    size, last = 333, odd.config.vocab_size - 1
    small = with_vocabulary(odd, size)
    small.validate()
    tokens = np.random.default_rng(0).integers(0, size - 1, 30)
    tokens[[0, 11]] = size - 1  # EOS
    was = logits(odd, np.where(tokens == size - 1, last, tokens))
    assert np.array_equal(logits(small, tokens), was[:, [*range(size - 1), last]])
    assert (
        small.config.name == "odd-pruned333"
        and small.digest != odd.digest
        and small.provenance["vocabulary_pruned_from"] == 1009
    )


def test_its_tokenizer_is_pruned_with_it():
    tokenizer = spelled(43)
    model = random_model(
        ModelConfig(
            name="t",
            vocab_size=300,
            d_model=16,
            n_heads=2,
            d_ffn=16,
            vision_hidden=8,
            n_positions=4,
            memory_slots=4,
        )
    )
    model.tokenizer = tokenizer.to_bytes()
    small = Tokenizer.from_bytes(with_vocabulary(model, 280).tokenizer)
    assert (
        small.tokens == (*tokenizer.tokens[:279], tokenizer.tokens[-1])
        and small.merges == tokenizer.merges[:23]
    )


@pytest.mark.parametrize("size", [0, MIN_VOCAB - 1, 1010])
def test_sizes_that_cannot_be(odd, size):
    with pytest.raises(
        ConfigError, match=f"of {size} tokens cannot be cut from one of 1009.*from 257 to 1009"
    ):
        with_vocabulary(odd, size)


def test_a_shorter_window_is_the_same_until_it_evicts(odd):
    small, tokens = with_window(odd, 6), np.random.default_rng(1).integers(0, 1009, 12)
    was, now = logits(odd, tokens), logits(small, tokens)
    full = odd.config.n_sinks + 6
    assert (
        np.array_equal(was[:full], now[:full])
        and not np.array_equal(was[full:], now[full:])
        and small.digest != odd.digest
    )


@pytest.mark.parametrize("window", [0, 14])
def test_windows_that_cannot_be(odd, window):
    with pytest.raises(ConfigError, match="cannot be cut from one of 13"):
        with_window(odd, window)


def test_doubt_is_in_the_keys_of_the_learned_slots_alone(odd):
    config = ModelConfig.parse(odd.config.model_dump() | {"write_rule": "keyed", "memory_fixed": 3}, "keyed")
    model = random_model(config, 0)
    less = with_doubt(model, 0.5)
    less.validate()
    assert less.digest != model.digest and with_doubt(less, 2).provenance["doubt"] == 1
    for name, array in model.arrays.items():
        if name == "memory.m.scales":
            assert np.array_equal(less.arrays[name][:3], array[:3] * np.float32(0.5))
            assert np.array_equal(less.arrays[name][3:], array[3:])
        else:
            assert np.array_equal(less.arrays[name], array)
    with pytest.raises(ConfigError, match="no learned slots"):
        with_doubt(odd, 0.5)
    with pytest.raises(ConfigError, match="not possible"):
        with_doubt(model, -1)
