# SPDX-License-Identifier: Apache-2.0
"""Five weights in a byte: the layouts that bm_gemv_t5.c and families draw, and what they save."""

import math
from fractions import Fraction

import numpy as np
import pytest
from support import TINY

from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.buffers import arena_buffers
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.lower import lower
from bitmar_tiny.codegen.pack import pack5, packed5_size, packed_size, table5_bytes, unpack5
from bitmar_tiny.codegen.plan import make_plan
from bitmar_tiny.errors import ConfigError, FitError
from bitmar_tiny.frozen import random_model


def trits(n: int, k: int) -> np.ndarray:
    return np.random.default_rng(n + k).integers(-1, 2, (n, k)).astype(np.int8)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 31, 257])
@pytest.mark.parametrize("k", [1, 4, 5, 6, 64, 96, 127, 128, 4096])
@pytest.mark.parametrize("family", ["portable", "pie"])
def test_round_trip_and_size(n, k, family):
    data = pack5(trits(n, k), family)
    assert len(data) == packed5_size(n, k, family) and (max(data) <= 242 or family == "pie")
    assert np.array_equal(unpack5(data, n, k, family), trits(n, k))


def test_byte_by_byte_as_drawn():
    w = trits(6, 12)
    data = pack5(w, "portable")
    for row in range(6):
        for step in range(3):
            codes = [int(w[row, k]) + 1 if k < 12 else 1 for k in range(5 * step, 5 * step + 5)]
            assert data[(row // 4 * 3 + step) * 4 + row % 4] == sum(c * 3**i for i, c in enumerate(codes))


def test_fractions_byte_by_byte_as_drawn():
    w = trits(20, 12)
    data = pack5(w, "pie")
    for row in range(20):
        for step in range(3):
            codes = [int(w[row, k]) + 1 if k < 12 else 1 for k in range(5 * step, 5 * step + 5)]
            part = sum(Fraction(c, 3 ** (i + 1)) for i, c in enumerate(codes))
            assert data[(row // 16 * 3 + step) * 16 + row % 16] == math.ceil(256 * part)


def test_three_times_a_fraction_brings_its_digits():
    """As the vector instructions take them: upper two bits the digit, lower eight what is left."""
    for number in range(3**5):
        byte = math.ceil(Fraction(256 * number, 3**5))
        for place in (81, 27, 9, 3, 1):
            assert 3 * byte >> 8 == number // place % 3
            byte = 3 * byte & 255


@pytest.mark.parametrize("family", ["portable", "pie"])
def test_padding_is_weight_zero(family):
    rows = 4 if family == "portable" else 16
    whole = unpack5(pack5(-np.ones((3, 101), np.int8), family), rows, 105, family)
    assert np.all(whole[:3, :101] == -1) and not whole[3:].any() and not whole[:, 101:].any()


def test_what_the_paper_preset_saves():
    cfg = preset("paper")
    assert packed_size(cfg.vocab_size, cfg.d_model, "portable") == 1_608_224
    assert packed5_size(cfg.vocab_size, cfg.d_model, "portable") == 1_306_760
    assert packed5_size(cfg.vocab_size, cfg.d_model, "pie") == 1_307_072
    for board, family, size in (("host", "portable", 12_662), ("esp32-s3-n16r8", "pie", 148)):
        two, five = (
            sum(b.size for b in arena_buffers(cfg, load_board(board), bits)) for bits in ("2", "1.6")
        )
        assert five - two == table5_bytes(cfg.d_model, family) == size


def test_only_the_head_and_its_table_change(tiny):
    two, five = lower(tiny, "portable"), lower(tiny, "portable", "1.6")
    for a, b in zip(two.sections, five.sections, strict=True):
        assert a.name == b.name and (a.data == b.data) == (a.name != "head_w")
    head = next(s for s in five.sections if s.name == "head_w")
    assert np.array_equal(
        unpack5(head.data, TINY.vocab_size, TINY.d_model, "portable"), tiny.arrays["head.w.trits"]
    )
    assert "five weights a byte" in head.what and head.source == ("head.w.trits",)
    plans = [{p.name for p in make_plan(TINY, blob, load_board("host")).placements} for blob in (two, five)]
    assert plans[1] - plans[0] == {"head_table"}


def test_a_blob_a_little_too_large_is_told_of_the_option():
    model = random_model(TINY)
    two, five = (lower(model, "portable", bits).size for bits in ("2", "1.6"))
    values = load_board("host").model_dump()
    values["regions"] = [
        {"name": "sram", "size": 1 << 30, "largest_block": 1 << 30, "holds": ["arena", "stack"]},
        {"name": "flash", "size": five, "largest_block": five, "holds": ["weights"]},
    ]
    small = Board.parse(values, "test")
    assert five < two
    with pytest.raises(FitError, match="--head-bits 1.6"):
        make_plan(TINY, lower(model, "portable"), small)


def test_other_bits_are_refused(tiny, tmp_path):
    with pytest.raises(ConfigError, match="no head of 1.58 bits"):
        emit(tiny, load_board("host"), tmp_path / "p", head_bits="1.58")
