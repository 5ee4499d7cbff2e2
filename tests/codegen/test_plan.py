"""The memory plan: it adds up, and it refuses with a sentence that can be acted on."""

import re

import pytest

from bitmar_tiny.config import preset
from bitmar_tiny.errors import ConfigError, FitError
from bitmar_tiny.frozen import random_model
from codegen.boards import Board, load_board
from codegen.lower import lower
from codegen.buffers import arena_buffers
from codegen.plan import make_plan

from support import TINY


def board(ram: int, block: int | None = None, weights: int = 1 << 30) -> Board:
    values = load_board("host").model_dump()
    values["regions"] = [
        {"name": "sram", "size": ram, "largest_block": block or ram, "holds": ["arena", "stack"]},
        {"name": "flash", "size": weights, "largest_block": weights, "holds": ["weights"]},
    ]
    return Board.parse(values, "test")


def test_placements_do_not_overlap_and_are_aligned(tiny):
    plan = make_plan(tiny.config, lower(tiny, "portable"), load_board("host"))
    for kind in ("weights", "arena"):
        end = 0
        for p in sorted(plan.of_kind(kind), key=lambda p: p.offset):
            assert p.offset % 64 == 0 and p.offset >= end, p
            end = p.offset + p.size
    assert sum(plan.arenas.values()) >= sum(b.size for b in arena_buffers(tiny.config, load_board("host")))


def test_refusal_names_region_overshoot_and_a_knob_that_works(tiny):
    blob = lower(tiny, "portable")
    need = make_plan(tiny.config, blob, board(1 << 30)).bytes_in("sram")
    with pytest.raises(FitError) as caught:
        make_plan(tiny.config, blob, board(need - 1000))
    assert "region 'sram'" in str(caught.value) and "1000 B too much" in str(caught.value)
    window = int(re.search(r"Reduce window from 9 to (\d+)", str(caught.value))[1])
    smaller = random_model(TINY.model_copy(update={"window": window}))
    make_plan(smaller.config, lower(smaller, "portable"), board(need - 1000))


def test_largest_contiguous_block_counts(tiny):
    with pytest.raises(FitError, match="in one piece"):
        make_plan(tiny.config, lower(tiny, "portable"), board(1 << 30, block=20_000))


def test_weights_that_do_not_fit_flash():
    model = random_model(TINY)
    with pytest.raises(FitError, match="region 'flash'.*vocabulary"):
        make_plan(model.config, lower(model, "portable"), board(1 << 30, weights=20_000))


def test_paper_needs_less_than_six_megabytes_of_ram_and_pocket_less_than_one():
    for name, limit in (("paper", 6 << 20), ("pocket", 1 << 20)):
        cfg = preset(name)
        assert sum(b.size for b in arena_buffers(cfg, load_board("host"))) < limit, name


@pytest.mark.parametrize("text, words", [
    ("name = 3", "name"), ("colour = 'red'", "unknown key 'colour'"), ("][", "not a readable board profile"),
])
def test_bad_profiles(tmp_path, text, words):
    path = tmp_path / "b.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_board(str(path))


def test_unknown_board_suggests():
    with pytest.raises(ConfigError, match="Did you mean 'rpi-zero2'"):
        load_board("rpi-zero")
