# SPDX-License-Identifier: Apache-2.0
"""Bit-exactness of generated C: every tap, every step, on every kernel family, compiler and optimisation
level.
"""

from __future__ import annotations

import subprocess
from dataclasses import replace
from functools import cache
from typing import ClassVar

import numpy as np
import pytest
from shown_script import answers, show_once
from support import ODD, SEEING, SHOWN, each_family_once, need, need_family, traps
from taught_support import knowing

from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.build import build, runs_natively
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.lower import lower
from bitmar_tiny.data.show_once import UNKNOWN
from bitmar_tiny.frozen import random_model
from bitmar_tiny.frozen.shrink import with_small_token_table, with_vocabulary, with_window
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.run.golden import GoldenSession
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import standard


@cache
def weights(name):
    """Of a preset, random ones."""
    return random_model(preset(name))


class Golden(GoldenSession):
    """Golden, which works out once what a model answers to a script: every target is compared with that. To
    explain a difference it works anew.
    """

    known: ClassVar[dict[tuple, list]] = {}

    def __init__(self, model, tier, script) -> None:
        super().__init__(model, tier)
        self.key, self.traces, self.calls = (model.digest, tier, len(script)), 0, []
        self.recalled = iter(self.known.get(self.key, ()))

    def need_taps(self):
        self.traces += 1
        super().need_taps()

    def _once(self, work, *arguments):
        if self.traces == 1 and self.key in self.known:
            return next(self.recalled)
        self.calls.append(work(*arguments))
        return self.calls[-1]

    def begin(self):
        return self._once(super().begin)

    def image(self, vectors):
        return self._once(super().image, vectors)

    def tokens(self, tokens):
        return self._once(super().tokens, tokens)

    def end(self):
        return self._once(super().end)

    def keep_calls(self) -> None:
        """What it answered in a whole trace is what it answers in the next."""
        self.known.setdefault(self.key, self.calls)


def check(
    model,
    folder,
    tokens,
    board="host",
    family="portable",
    compiler=None,
    opt="-O2",
    extra=(),
    head_bits="2",
    threads=1,
):
    need(board, compiler)
    need_family(family)
    profile = load_board(board)
    project = emit(model, profile, folder, family, head_bits)
    program = build(project.path, profile, family, compiler=compiler, opt=opt, taps=True, extra=extra)
    shell = ["sh", "-c", f'exec "$0" "$@" --threads {threads}'] if threads > 1 else []
    program = replace(program, runner=[*shell, *program.runner])
    script = standard(model.config, tokens)
    with ProgramSession(program, profile, f"{board}/{family}/{program.compiler}{opt}") as session:
        golden = Golden(model, session.memory_tier, script)
        verdict = verify(model, session, script, project.sources, golden=golden)
    if verdict.exact:
        golden.keep_calls()
    assert verdict.exact, verdict.difference.sentence()
    assert verdict.taps > 20 * verdict.steps
    return verdict


SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TARGETS = each_family_once("linux", "xtensa")
VECTORS = [(board, family) for board, family in TARGETS if family != "portable"]


@pytest.mark.parametrize("opt", ["-O0", "-O2"])
@pytest.mark.parametrize(
    "board, family, compiler", [(b, f, c) for b, f in TARGETS for c in load_board(b).compilers]
)
def test_every_target(tiny, tmp_path, board, family, compiler, opt):
    """With -O2 what runs once per token is compiled with -O3 (codegen/build.py)."""
    check(tiny, tmp_path / "p", 60, board, family, compiler, opt, traps(compiler, opt))


@pytest.mark.parametrize("board, family", TARGETS)
def test_odd_shapes(odd, tmp_path, board, family):
    check(odd, tmp_path / "p", 80, board, family)


@pytest.mark.parametrize("board, family", TARGETS)
def test_grouped_queries(grouped, tmp_path, board, family):
    check(grouped, tmp_path / "p", 60, board, family)


@pytest.mark.parametrize("board, family", TARGETS)
def test_keys_apart_from_values(keyed, tmp_path, board, family):
    check(keyed, tmp_path / "p", 60, board, family)


@pytest.mark.parametrize(
    "board, family",
    [("host", "portable"), ("host", "avx512vnni"), ("rpi-zero2", "neon"), ("xtensa-sim", "portable")],
)
def test_convolutions(seeing, tmp_path, board, family):
    check(seeing, tmp_path / "p", 24, board, family)


@pytest.mark.parametrize(
    "board, family",
    [("host", "portable"), ("host", "avx2"), ("rpi-zero2", "neon"), ("xtensa-sim", "portable")],
)
def test_a_memory_that_sees(tmp_path, board, family):
    """Keys of what convolutions see: the questions have pictures."""
    check(random_model(SHOWN, seed=6), tmp_path / "p", 40, board, family)


@pytest.mark.parametrize("board", ["host", "rpi-zero2"])
def test_what_was_shown_once_outlives_a_power_cut(tmp_path, board):
    """Every tensor of showing, and of asking after the power was off; and it answers what it was told."""
    need(board)
    model, profile = knowing(), load_board(board)
    script = show_once(model)
    assert answers(model, script, keeps=True) == [" an apple.", " a dax.", UNKNOWN]
    assert all(said.startswith(" I") for said in answers(model, script, keeps=False))
    project = emit(model, profile, tmp_path / "p", memory="sd")
    program = build(project.path, profile, project.family, taps=True)
    with ProgramSession(program, profile, board, project.memory_store) as session:
        verdict = verify(model, session, script)
        assert session.memory_tier == "sd" and verdict.exact, verdict.difference
        assert not verify(model, session, script, golden=GoldenSession(model, "ram")).exact


def test_convolutions_by_threads_under_sanitizers(tmp_path):
    """More threads than the last maps have cells, and more rows than are multiplied at a time."""
    wide = SEEING.model_copy(update={"image_tokens": 1, "vision_channels": (70, 7, 145, 145)})
    check(random_model(wide), tmp_path / "p", 16, family="avx2", opt="-O1", threads=3, extra=SANITIZE)


@pytest.mark.parametrize("board, family", [("host", "portable"), ("host", "avx2"), ("rpi-zero2", "neon")])
def test_head_of_five_weights_a_byte(tiny, odd, tmp_path, board, family):
    for model in (tiny, odd):
        check(model, tmp_path / model.config.name, 60, board, family, head_bits="1.6")
        assert "#define BM_HEAD_T5 1 " in (tmp_path / model.config.name / "src" / "bm_config.h").read_text()


@pytest.mark.parametrize("board, family", [("host", "portable"), ("rpi-zero2", "neon")])
def test_head_that_leaves_out_what_cannot_win(odd, tmp_path, board, family):
    """All logits are there where they are asked for, and picks are those of the whole head."""
    check(odd, tmp_path / "odd", 60, board, family, head_bits="2-skip")
    profile, said = load_board(board), {}
    for bits in ("2", "2-skip"):
        project = emit(weights("demo"), profile, tmp_path / bits, family, bits)
        program = build(project.path, profile, family)
        said[bits] = [
            subprocess.run(
                [*program.command, "generate", "--ids", "--tokens", "60", "--temperature", t, "--seed", "3"],
                capture_output=True,
                check=True,
                timeout=60,
            ).stdout
            for t in ("0", "1")
        ]
    assert said["2"] == said["2-skip"] and min(len(ids.split()) for ids in said["2"]) > 3


@pytest.mark.parametrize("board, family", [("host", "portable"), ("host", "avx2"), ("rpi-zero2", "neon")])
def test_token_table_of_four_bits(odd, tmp_path, board, family):
    small = with_small_token_table(odd)
    assert np.abs(small.arrays["token_table.codes"]).max(1).min() == 7 and small.digest != odd.digest
    value, was = (
        m.arrays["token_table.codes"] * m.arrays["token_table.scales"][:, None] for m in (small, odd)
    )
    assert np.abs(value - was).max() <= np.abs(was).max() / 14 * 1.001  # half a step of a code
    check(small, tmp_path / "p", 40, board, family)
    saved = lower(odd, family).size - lower(small, family).size
    assert saved == pytest.approx(odd.config.vocab_size * odd.config.d_model / 2, abs=128)


@pytest.mark.parametrize("board, family", [("host", "portable"), ("rpi-zero2", "neon")])
def test_every_knob_that_makes_a_model_smaller(odd, tmp_path, board, family):
    small = with_small_token_table(with_vocabulary(with_window(odd, 5), 333))
    check(small, tmp_path / "p", 40, board, family, head_bits="1.6")
    assert len({odd.digest, small.digest}) == 2 and lower(small, family).size < lower(odd, family).size


@pytest.mark.parametrize(
    "board, memory",
    [("host", "flash"), ("host", "ram"), ("host", "sd"), ("rpi-zero2", "flash"), ("rpi-zero2", "sd")],
)
@pytest.mark.parametrize("rule", ["odd", "keyed"])
def test_wherever_the_memory_lies(request, tmp_path, board, memory, rule):
    need(board)
    model, profile = request.getfixturevalue(rule), load_board(board)
    project = emit(model, profile, tmp_path / "p", memory=memory)
    program = build(project.path, profile, project.family, taps=True)
    with ProgramSession(program, profile, memory, project.memory_store) as session:
        for tier in ("ram", "flash", "sd"):  # the script does tell what a power cut leaves
            golden = GoldenSession(model, tier)
            assert verify(model, session, standard(model.config, 60), golden=golden).exact == (tier == memory)
    assert ("memory" in [p.name for p in project.plan.of_kind("arena")]) == (memory == "ram")


@pytest.mark.parametrize("head_bits", ["2", "1.6", "2-skip"])
@pytest.mark.parametrize("vocab_size", [4097, 9001])
def test_head_in_pieces_by_threads(tmp_path, vocab_size, head_bits):
    model = random_model(ODD.model_copy(update={"vocab_size": vocab_size}))
    check(model, tmp_path / "p", 12, family="avx2", head_bits=head_bits, threads=3)


@pytest.mark.parametrize(
    "board, family", [("host", "portable"), ("host", "avx512vnni"), ("rpi-zero2", "neon")]
)
def test_threads_do_not_change_a_bit(tmp_path, board, family):
    check(
        weights("demo"), tmp_path / "p", 160, board, family, threads=2
    )  # products, and attention at a full window, are shared


@pytest.mark.parametrize("head_bits", ["2", "1.6", "2-skip"])
def test_threads_choose_the_same_tokens(tmp_path, head_bits):
    model = random_model(ODD.model_copy(update={"vocab_size": 5003}))
    profile = load_board("host")
    program = build(emit(model, profile, tmp_path / "p", "portable", head_bits).path, profile, "portable")
    for temperature in ("0", "3"):
        runs = [
            subprocess.run(
                [
                    *program.command,
                    "generate",
                    "--ids",
                    "--tokens",
                    "40",
                    "--temperature",
                    temperature,
                    "--top-k",
                    "200",
                    "--threads",
                    str(n),
                ],
                capture_output=True,
                check=True,
                timeout=60,
            ).stdout
            for n in (1, 2)
        ]
        assert runs[0] == runs[1] and len(runs[0].split()) > 5


def scattered(sram: int) -> Board:
    """The host, as if its memory were three regions of different speed."""
    values = load_board("host").model_dump()
    values["regions"] = [
        {
            "name": "sram",
            "size": sram,
            "largest_block": sram,
            "holds": ["arena", "stack", "copies"],
            "read_mb_s": 4000,
        },
        {
            "name": "psram",
            "size": 1 << 24,
            "largest_block": 1 << 24,
            "holds": ["arena", "copies"],
            "read_mb_s": 80,
            "cache_line": 64,
        },
        {
            "name": "flash",
            "size": 1 << 24,
            "largest_block": 1 << 24,
            "holds": ["weights"],
            "read_mb_s": 30,
            "cache_line": 64,
        },
    ]
    return Board.parse(values, "test")


@pytest.mark.parametrize("sram", [48 << 10, 80 << 10, 1 << 20])
def test_wherever_the_plan_puts_things(odd, tmp_path, sram):
    board = scattered(sram)
    project = emit(odd, board, tmp_path / "p", "avx2")
    assert {p.region for p in project.plan.of_kind("copy")} == (
        {"sram", "psram"} if sram < 1 << 20 else {"sram"}
    )
    program = build(project.path, board, "avx2", opt="-O1", taps=True, extra=SANITIZE)
    with ProgramSession(program, board, "scattered") as session:
        assert verify(odd, session, standard(odd.config, 80), project.sources).exact


def test_sanitizers_find_nothing(odd, tmp_path):
    for family, head_bits in (("portable", "2"), ("avx2", "2"), ("portable", "1.6")):
        check(
            odd,
            tmp_path / f"{family}{head_bits}",
            60,
            family=family,
            opt="-O1",
            head_bits=head_bits,
            extra=SANITIZE,
        )


@pytest.mark.parametrize(
    "board, family, tokens",
    [
        ("host", "avx2", 2000),
        ("host", "portable", 700),
        ("rpi-zero2", "neon", 700),
        ("bpi-f3", "rvv", 200),
        ("xtensa-sim", "portable", 200),
    ],
)
def test_demo_shape_over_hundreds_of_evictions(tmp_path, board, family, tokens):
    check(weights("demo"), tmp_path / "p", tokens, board, family)


@pytest.mark.parametrize(
    "board, family, tokens",
    [
        ("host", "avx2", 1200),
        ("host", "portable", 60),
        ("rpi-zero2", "neon", 60),
        ("rpi-zero2", "portable", 40),
    ],
)
def test_paper_preset(tmp_path, board, family, tokens):
    verdict = check(weights("paper"), tmp_path / "p", tokens, board, family)
    if tokens > 1000:
        assert verdict.steps - 4 * 24 - 48 > preset("paper").context


@pytest.mark.parametrize("board, family", VECTORS)
def test_pocket_preset(tmp_path, board, family):
    """Past its window where it runs natively; emulated ones see evictions with the demo's shape."""
    check(weights("pocket"), tmp_path / "p", 400 if runs_natively(load_board(board)) else 40, board, family)
