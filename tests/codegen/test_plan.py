# SPDX-License-Identifier: Apache-2.0
"""The memory plan: it adds up, and it refuses with a sentence that can be acted on."""

import re

import pytest
from support import TINY

from bitmar_tiny.arch.config import preset
from bitmar_tiny.bench.cycles import estimate_pie
from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.buffers import arena_buffers, stream_rows
from bitmar_tiny.codegen.estimate import Estimate, Part, estimates
from bitmar_tiny.codegen.lower import lower
from bitmar_tiny.codegen.memory_cost import memory_cost
from bitmar_tiny.codegen.picture_cost import picture_cost
from bitmar_tiny.codegen.plan import make_plan
from bitmar_tiny.codegen.thing_cost import ASKED, TOLD, thing_cost
from bitmar_tiny.errors import ConfigError, FitError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.frozen.shrink import with_small_token_table, with_vocabulary, with_window


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


def test_shared_heads_shrink_the_rings():
    """Codes shrink with the heads; the two scales of a slot stay."""
    board, sizes = load_board("esp32-s3-n16r8"), {}
    for heads in (4, 2, 1):
        model = random_model(preset("paper").model_copy(update={"n_kv_heads": heads, "vocab_size": 512}))
        plan = make_plan(model.config, lower(model, "pie"), board)
        sizes[heads] = {p.size for p in plan.of_kind("arena") if p.name.startswith("kv.")}
    assert sizes == {4: {1024 * 264}, 2: {1024 * 136}, 1: {1024 * 72}}


def test_largest_contiguous_block_counts(tiny):
    with pytest.raises(FitError, match="in one piece"):
        make_plan(tiny.config, lower(tiny, "portable"), board(1 << 30, block=20_000))


def test_weights_that_do_not_fit_flash():
    model = random_model(TINY)
    with pytest.raises(FitError, match="region 'flash'.*vocabulary"):
        make_plan(model.config, lower(model, "portable"), board(1 << 30, weights=20_000))


@pytest.mark.parametrize("over", [1, 200_000, 400_000, 3_300_000, 6_000_000])
def test_what_the_refusal_says_to_turn_makes_the_blob_fit(paper, over):
    """Each knob by the option that the sentence names: the head's bits, the token table's, both, the
    vocabulary.
    """
    blob = lower(paper, "pie")
    room = board(1 << 30, weights=blob.size - over)
    with pytest.raises(FitError, match="region 'flash'") as caught:
        make_plan(paper.config, blob, room)
    hint, model = caught.value.hint, paper
    if size := re.search(r"freeze --vocab (\d+)", hint):
        assert "another model" in hint
        model = with_vocabulary(model, int(size[1]))
    model = with_small_token_table(model) if "freeze --token-bits 4" in hint else model
    make_plan(model.config, lower(model, "pie", "1.6" if "--head-bits 1.6" in hint else "2"), room)
    assert ("--head-bits" in hint, "--token-bits" in hint, "--vocab" in hint) == {
        1: (True, False, False),
        200_000: (True, False, False),
        400_000: (False, True, False),
        3_300_000: (True, True, False),
    }.get(over, (False, False, True))


def test_paper_needs_less_than_six_megabytes_of_ram_and_pocket_less_than_one():
    for name, limit in (("paper", 6 << 20), ("pocket", 1 << 20)):
        cfg = preset(name)
        assert sum(b.size for b in arena_buffers(cfg, load_board("host"))) < limit, name


@pytest.mark.parametrize(
    "text, words",
    [
        ("name = 3", "name"),
        ("colour = 'red'", "unknown key 'colour'"),
        ("][", "not a readable board profile"),
    ],
)
def test_bad_profiles(tmp_path, text, words):
    path = tmp_path / "b.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_board(str(path))


def test_unknown_board_suggests():
    with pytest.raises(ConfigError, match="Did you mean 'rpi-zero2'"):
        load_board("rpi-zero")


@pytest.fixture(scope="module")
def paper():
    return random_model(preset("paper"))


def test_paper_fits_a_five_dollar_module(paper):
    board = load_board("esp32-s3-n16r8")
    blob = lower(paper, "pie")
    plan = make_plan(paper.config, blob, board)
    assert plan.bytes_in("sram") < 320 << 10 and plan.bytes_in("psram") < 7 << 20
    assert {p.region for p in plan.placements if p.name == "head_w" and p.kind == "copy"} == {"psram"}
    assert all(p.region == "sram" for p in plan.of_kind("arena") if p.per_token == 0)  # scratch
    token = estimates(paper.config, blob, board, plan)[0]
    assert (
        token.context >= 32
        and token.tokens_per_s >= 40
        and token.bottleneck.startswith("head, reading psram")
    )


def test_pocket_fits_the_smaller_module_and_paper_is_refused_with_a_window_that_fits(paper):
    board = load_board("esp32-s3-n16r2")
    pocket = random_model(preset("pocket"))
    make_plan(pocket.config, lower(pocket, "pie"), board)
    with pytest.raises(FitError, match="region 'psram'") as caught:
        make_plan(paper.config, lower(paper, "pie"), board)
    window = int(re.search(r"to (\d+) or less", str(caught.value))[1])
    assert f"bitmar-tiny freeze --window {window}" in str(caught.value)
    smaller = with_window(paper, window)
    make_plan(smaller.config, lower(smaller, "pie"), board)
    larger = random_model(paper.config.model_copy(update={"window": window + 1}))
    with pytest.raises(FitError):
        make_plan(larger.config, lower(larger, "pie"), board)


@pytest.mark.parametrize(
    "board_name, model_name",
    [("esp32-s3-n16r8", "paper"), ("esp32-s3-n16r8", "demo"), ("esp32-s3-n16r2", "pocket")],
)
def test_heat_decides(board_name, model_name):
    """Nothing colder lies in a faster region while something hotter that would have fitted there lies in a
    slower one.
    """
    board, model = load_board(board_name), random_model(preset(model_name))
    plan = make_plan(model.config, lower(model, "pie"), board)
    order = [r.name for r in board.regions]
    sram = order[0]
    state = [p for p in plan.of_kind("arena", "copy") if p.per_token]
    coldest = min(p.per_token / p.size for p in state if p.region == sram)
    free = min(board.regions[0].size - board.stack_bytes, board.regions[0].largest_block) - plan.arenas[sram]
    for p in state:
        assert p.region == sram or p.per_token / p.size <= coldest or p.size > free, p


def test_estimates_are_what_bytes_and_cycles_make(paper):
    board = load_board("esp32-s3-n16r8")
    blob = lower(paper, "pie")
    first, full, unstreamed, small, fetched, both = estimates(
        paper.config, blob, board, make_plan(paper.config, blob, board)
    )
    for e in (first, full, unstreamed, small, fetched, both):
        assert e.ms >= sum(p.bus_ms for p in e.parts) and e.tokens_per_s <= e.bound_per_s
    head, streamed = (next(p for p in e.parts if p.name == "head") for e in (unstreamed, first))
    assert head.bytes["psram"] == pytest.approx(
        paper.config.vocab_size * 32, rel=1e-3
    )  # 128 weights of 2 bits a row
    assert head.bus_ms == pytest.approx(head.bytes["psram"] / 84e3)
    assert head.ms == head.bus_ms
    assert streamed.bus_ms == pytest.approx(head.bytes["psram"] / 105e3) and streamed.bus_ms > head.shared_ms
    assert streamed.ms == pytest.approx(streamed.bus_ms + 4096 / 105e3), "and the first block"
    assert "105 MB/s" in first.assumed and first.assumed == full.assumed and not unstreamed.assumed
    assert full.ms > first.ms > fetched.ms and small.bytes["psram"] < first.bytes["psram"]


def test_a_head_is_streamed_where_it_lies_behind_the_cache(paper):
    """Two buffers a thread in internal memory, whole groups of rows; none where the head is in it, where a
    pick decides what is read, or where there is no room.
    """
    board, cfg = load_board("esp32-s3-n16r8"), paper.config
    for bits, rows, row_bytes in (("2", 128, 32), ("1.6", 128, 26)):
        blob = lower(paper, "pie", bits)
        plan = make_plan(cfg, blob, board)
        (found,) = [p for p in plan.placements if p.name == "stream"]
        assert (found.region, found.size) == ("sram", 2 * 2 * rows * row_bytes)
        assert stream_rows(cfg, board, blob) == rows and plan.read_from("head_w").region == "psram"
    skip = lower(paper, "pie", "2-skip")
    plan = make_plan(cfg, skip, board)
    assert not plan.streams and not stream_rows(cfg, board, skip)
    assert estimates(cfg, skip, board, plan)[0].assumed.startswith("A head of 2-skip is not streamed")
    small = random_model(cfg.model_copy(update={"vocab_size": 2400}))
    assert not make_plan(small.config, lower(small, "pie"), board).streams
    crowded = board.model_copy(update={"stream": board.stream.model_copy(update={"block": 65536})})
    crowded = crowded.model_copy(update={"head_rows": 4096})
    blob = lower(paper, "pie")
    plan = make_plan(cfg, blob, crowded)
    assert not plan.streams and "not worth their room" in estimates(cfg, blob, crowded, plan)[0].assumed
    nothing = load_board("esp32-s3-n16r2")
    assert nothing.stream is None and not stream_rows(cfg, nothing, blob)


@pytest.mark.parametrize(
    "name, change, words",
    [
        ("esp32-s3-n16r8", {"mb_s": {"moon": 1}}, "no region 'moon'"),
        ("esp32-c3-devkitm-1", {}, "does not stream the head on esp32c3"),
    ],
)
def test_a_profile_says_what_can_be_streamed(name, change, words):
    values = load_board(name).model_dump()
    values["stream"] = {"block": 4096, "mb_s": {"flash": 40}, "source": "a test"} | change
    with pytest.raises(ConfigError, match=re.escape(words)):
        Board.parse(values, "test")


def test_a_pinned_memory_leaves_the_copies_what_is_left(paper):
    board, blob = load_board("esp32-s3-n16r8"), lower(paper, "pie")
    free, pinned = make_plan(paper.config, blob, board), make_plan(paper.config, blob, board, "sram")
    assert [p.region for p in pinned.of_kind("arena") if p.name == "memory"] == ["sram"]
    assert {p.name for p in pinned.of_kind("copy")} == {p.name for p in free.of_kind("copy")}
    with pytest.raises(FitError, match="'sram' has no room for the memory"):
        huge = random_model(paper.config.model_copy(update={"memory_slots": 2048}))
        make_plan(huge.config, lower(huge, "pie"), board, "sram")


def test_estimates_know_where_the_memory_is(paper):
    board, cfg = load_board("esp32-s3-n16r8"), paper.config
    for blob, region, where in (
        (lower(paper, "pie"), "sram", "sram"),
        (lower(paper, "pie", memory="sd"), None, "sd"),
    ):
        found = estimates(cfg, blob, board, make_plan(cfg, blob, board, region), region)
        assert len(found) == 6
        for e in found:
            memory = next(p for p in e.parts if p.name == "memory")
            assert set(memory.bytes) == {where} and e.bytes[where] >= memory.bytes[where] > 0
    cost = memory_cost(cfg, blob, board, make_plan(cfg, blob, board))
    assert memory.bytes["sd"] == cost.read_bytes / cfg.read_every and memory.ms == pytest.approx(
        cost.read_ms / cfg.read_every
    )


def test_an_episode_of_a_keyed_memory_changes_one_slot():
    """256 slots of 128: four blocks of two planes of 8 KiB."""
    s3 = load_board("esp32-s3-n16r8")
    small = {"vocab_size": 512, "n_encoder_layers": 1, "n_decoder_layers": 1, "window": 60}
    found = {}
    for rule in ("bounded", "keyed"):
        model = random_model(preset("pocket").model_copy(update=small | {"write_rule": rule}))
        for tier in ("ram", "sd"):
            blob = lower(model, "pie", memory=tier)
            plan = make_plan(model.config, blob, s3)
            found[rule, tier] = memory_cost(model.config, blob, s3, plan)
            assert ("seen" in {p.name for p in plan.of_kind("arena")}) == (rule == "keyed")
    block, records = 2 * 8192, 2 * 4096
    store, ram = found["keyed", "sd"], found["keyed", "ram"]
    assert store.read_bytes == 4 * block == 2 * found["bounded", "sd"].read_bytes
    assert store.write_least == store.write_most == 4096 + records + block
    assert ram.read_bytes == 256 * (2 * 128 + 8) and ram.write_most == 8 * 256 + 2 * 128
    assert store.write_ms_most < found["bounded", "sd"].write_ms_most
    assert store.read_ms > found["bounded", "sd"].read_ms


def test_what_a_thing_costs_to_teach_and_to_ask():
    """A picture, the tokens said beside it and one slot: on a board the store's own bytes, and under half a
    second.
    """
    shape = {"vocab_size": 512, "n_encoder_layers": 1, "n_decoder_layers": 2, "window": 60, "read_every": 1}
    shape |= {"write_rule": "keyed", "image_tokens": 4, "vision_channels": (64, 64, 64, 64)}
    model = random_model(preset("pocket").model_copy(update=shape))
    for name in ("esp32-s3-n16r8", "esp32-s3-n16r2", "rpi-zero2"):
        board = load_board(name)
        for tier in ("ram", "sd"):
            blob = lower(model, board.kernels[0], memory=tier)
            plan = make_plan(model.config, blob, board)
            (token, *_), kept = (
                estimates(model.config, blob, board, plan),
                memory_cost(model.config, blob, board, plan),
            )
            seen = picture_cost(model.config, blob, board, plan)
            cost = thing_cost(model.config, board, token, seen, kept)
            assert cost.ask_ms == pytest.approx(seen.ms + ASKED * token.ms) and cost.ask_ms < 500
            assert cost.written == kept.write_most and cost.ask_mj == cost.ask_ms * board.power.active_w
            assert cost.ask_ms + (TOLD - ASKED) * token.ms <= cost.teach_ms < 500
            assert ("to the card" if tier == "sd" else "into ram") in cost.sentence
            unknown = thing_cost(model.config, board, None, seen, kept)
            assert unknown.ask_ms is unknown.ask_mj is None and " ms" not in unknown.sentence
    bounded = model.config.model_copy(update={"write_rule": "bounded"})
    assert thing_cost(bounded, board, token, seen, kept) is None


def test_the_bottleneck_is_the_larger_of_the_two_times():
    def name(**times):
        return Estimate(
            "", 32, [Part("head", ms=9, bytes={"psram": 1}, **times), Part("layers", 1, 1, 1, 1, {})]
        ).bottleneck

    assert name(compute_ms=8, shared_ms=4, bus_ms=5) == "head, reading psram: 9.0 of 10.0 ms"
    assert name(compute_ms=8, shared_ms=4, bus_ms=3) == "head, computing: 9.0 of 10.0 ms"
    assert name(compute_ms=6, shared_ms=6, bus_ms=3) == "head, computing on one core: 9.0 of 10.0 ms"


def test_figures_of_the_profile_are_the_simulators():
    """Of the Pi: 70 cycles for 256 weights (docs/results.md), rounded down."""
    assert load_board("rpi-zero2").speed.gemv == {128: 3.6} and 3.6 < 256 / 70
    found = {c.family: c.weights / c.cycles for c in estimate_pie()}
    for name in ("esp32-s3-n16r8", "esp32-s3-n16r2"):
        speed = load_board(name).speed
        gemv = speed.gemv
        assert speed.head_1_6 == pytest.approx(found["pie, 1.6 bits, 128x128"], rel=0.02)
        assert gemv[128] == pytest.approx(found["pie, 128x128"], rel=0.02)
        assert gemv[512] == pytest.approx(found["pie, 128x512"], rel=0.02)


def test_room_for_what_must_stay_is_not_given_to_copies(tiny):
    blob = lower(tiny, "portable")
    need = sum(b.size + 64 for b in arena_buffers(tiny.config, load_board("host")))
    values = load_board("host").model_dump()
    values["regions"] = [
        {"name": "sram", "size": need, "largest_block": need, "holds": ["arena", "copies"], "read_mb_s": 100},
        {
            "name": "flash",
            "size": 1 << 24,
            "largest_block": 1 << 24,
            "holds": ["weights", "stack"],
            "read_mb_s": 10,
        },
    ]
    plan = make_plan(tiny.config, blob, Board.parse(values, "test"))
    assert {p.region for p in plan.of_kind("arena")} == {"sram"} and plan.bytes_in("sram") <= need


def test_a_picture_costs_what_its_products_and_maps_do(seeing):
    """Convolutions: each matrix once, for every cell of its map; compressed vectors: each for every one."""
    board, cfg = load_board("esp32-s3-n16r8"), seeing.config
    blob = lower(seeing, "pie")
    plan = make_plan(cfg, blob, board)
    cost = picture_cost(cfg, blob, board, plan)
    sides, maps = (32, 16, 8, 4), (3, *cfg.vision_channels)
    convolved = sum(s * s * 9 * a * b for s, a, b in zip(sides, maps, maps[1:], strict=False))
    tokens = cfg.image_tokens * (cfg.d_model * cfg.vision_width + 2 * cfg.d_model**2)
    assert cost.products == convolved + tokens and 0 < cost.ms < 50 and "million products" in cost.sentence
    sizes = {p.name: p.size for p in plan.of_kind("arena")}
    assert sizes["picture"] == 4 * 8 * 8 * 70 and sizes["map"] == 70 * 64
    vectors = random_model(cfg.model_copy(update={"vision_channels": None, "image_tokens": 4}))
    blob = lower(vectors, "portable")
    cost = picture_cost(vectors.config, blob, board, make_plan(vectors.config, blob, board))
    assert cost.products == 4 * (96 * 768 + 64 * 96 + 2 * 64 * 64) and cost.ms is None
    assert not {"picture", "map"} & {b.name for b in arena_buffers(vectors.config, board)}


def test_a_picture_too_large_for_the_board_is_refused(tiny):
    """The map of a picture has to lie in one piece."""
    large = tiny.config.model_copy(update={"image_tokens": 1024, "vision_channels": (64, 8, 8, 8)})
    model = random_model(large)
    with pytest.raises(FitError, match="does not fit esp32-s3-n16r8"):
        make_plan(large, lower(model, "pie"), load_board("esp32-s3-n16r8"))
