# SPDX-License-Identifier: Apache-2.0
"""The very .uf2 file of a Pico in an emulator of its chip (npm: rp2040js), at the real addresses, over its
UART.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from store.store_support import same

from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen import uf2
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build, find_compiler
from bitmar_tiny.codegen.emit import Project, emit
from bitmar_tiny.device.lines import end_with_parent
from bitmar_tiny.errors import BitmarError, ToolError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.run.session import SessionOptions, open_session
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import Event, random_image

EMULATOR = Path(__file__).parent / "rp2040.cjs"
TOKENS = 40
#: Bytes (rp2_cores.c).
STACK_OF_CORE_1 = 6144
#: Sectors that are erased and pages that are written, until the power goes.
CUTS = (1, 60, 110)
PATIENCE_S = 600.0  # for a step, however busy this machine is
#: The demo model: some ten minutes.
SOAK = bool(os.environ.get("BITMAR_SOAK"))


@pytest.fixture
def start():
    """Start a .uf2 file; yields a function that returns its port."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed (apt-get install nodejs)")
    found = subprocess.run(["node", "-e", "require('rp2040js')"], capture_output=True)
    if found.returncode:
        pytest.skip("rp2040js is not installed (npm install -g rp2040js; export NODE_PATH=$(npm root -g))")
    running = []

    def begin(image: Path, *more: object, **environment: str) -> str:
        running.append(
            subprocess.Popen(
                ["node", EMULATOR, image, *map(str, more)],
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=end_with_parent,
                env=os.environ | environment,
            )
        )
        return running[-1].stdout.readline().strip()

    def of_core_1() -> tuple[int, int]:
        """Instructions that it executed, and bytes of its stack that it used; when the client has left."""
        return tuple(map(int, re.findall(r" (\d+) ", running[-1].stdout.read())))

    begin.last = lambda: running[-1]
    begin.of_core_1 = of_core_1
    yield begin
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


def split_all(project: Project) -> None:
    """Both cores share every product, attention and pick, however small."""
    header = project.sources / "bm_config.h"
    text, n = re.subn(r"(#define BM_SPLIT_(?:WEIGHTS|KEYS)) \d+u", r"\1 1u", header.read_text())
    assert n == 2
    header.write_text(text)


def test_the_very_file_of_a_pico_is_exact(tiny, tmp_path, start):
    """From the second stage of the boot on: an image, forty tokens, and a reset by the watchdog."""
    board = load_board("pico")
    try:
        find_compiler(board)
    except ToolError as error:
        pytest.skip(str(error))
    model = random_model(preset("demo")) if SOAK else tiny
    project = emit(model, board, tmp_path / "p")
    split_all(project)
    program = build(project.path, board, project.family, extra=("-DBM_TAPS",))
    session = open_session(start(program.image), model, SessionOptions(timeout_s=PATIENCE_S))
    try:
        assert session.identity.board == "pico" and session.identity.cycles_hz == 125_000_000
        rng = np.random.default_rng(6)
        tokens = [Event("token", int(t)) for t in rng.integers(0, model.config.vocab_size, TOKENS)]
        script = [Event("begin"), Event("image", image=random_image(model.config, rng)), *tokens]
        verdict = verify(model, session, [*script, Event("power"), Event("begin"), tokens[0]])
        assert verdict.exact and verdict.steps == TOKENS + 1
        assert 500 < session.counters()["stack_peak"] < board.stack_bytes
    finally:
        session.close()
    instructions, stack = start.of_core_1()
    assert instructions > TOKENS * 30_000
    assert 0 < stack < STACK_OF_CORE_1 * 3 / 4


def test_one_core_computes_where_the_other_does_not_answer(tiny, tmp_path, start):
    board = load_board("pico")
    try:
        find_compiler(board)
    except ToolError as error:
        pytest.skip(str(error))
    project = emit(tiny, board, tmp_path / "p")
    program = build(project.path, board, project.family, extra=("-DBM_TAPS",))
    session = open_session(start(program.image, ONE_CORE="1"), tiny, SessionOptions(timeout_s=PATIENCE_S))
    try:
        image = random_image(tiny.config, np.random.default_rng(6))
        assert verify(tiny, session, [Event("begin"), Event("image", image=image), Event("token", 3)]).exact
    finally:
        session.close()
    assert start.of_core_1() == (0, 0)


def test_the_memory_outlasts_the_power_and_cuts_of_it(tiny, tmp_path, start):
    """The store in the flash, by a boot ROM of the emulator's script that checks each call: an exact episode,
    the same memory after the power was off, and the one before or after where it was cut.
    """
    board = load_board("pico")
    try:
        find_compiler(board)
    except ToolError as error:
        pytest.skip(str(error))
    project = emit(tiny, board, tmp_path / "p", memory="sd")
    program = build(project.path, board, project.family, extra=("-DBM_TAPS",))
    flash, cut = tmp_path / "flash", tmp_path / "cut"
    script = [Event("begin"), Event("token", 3), Event("write"), Event("begin"), Event("token", 5)]

    def an_episode(session):
        session.begin()
        session.tokens([3])
        session.end()
        return session.read_memory()

    def at_power_on(*more, then=None):
        session = open_session(start(program.image, *more), tiny, SessionOptions(timeout_s=PATIENCE_S))
        try:
            assert session.memory_tier == "sd"
            return session.read_memory(), then(session) if then else None
        finally:
            session.close()
            start.last().wait(PATIENCE_S)

    before, verdict = at_power_on(flash, then=lambda session: verify(tiny, session, script))
    assert verdict.exact and verdict.steps == 2
    shown, after = at_power_on(flash, then=an_episode)
    assert same(shown, before) and not same(after, before)
    assert same(at_power_on(flash)[0], after)
    for n in CUTS:
        cut.unlink(missing_ok=True)
        with pytest.raises(BitmarError):
            at_power_on(cut, n, then=an_episode)
        found, _ = at_power_on(cut)
        assert same(found, before) or same(found, after), n


@pytest.mark.parametrize("place, says", [(28, "block 0 is not for an RP2040"), (100, "CRC is wrong")])
def test_what_the_boot_rom_refuses_does_not_start(tmp_path, place, says, start):
    """The emulator's script does for the boot ROM what that does: it would notice."""
    file = bytearray(uf2.encode(0x10000000, bytes(4096), load_board("pico").uf2.family))
    file[place] ^= 1
    (tmp_path / "x.uf2").write_bytes(file)
    done = subprocess.run(["node", EMULATOR, tmp_path / "x.uf2"], capture_output=True, text=True, timeout=60)
    assert done.returncode and says in done.stderr
