# SPDX-License-Identifier: Apache-2.0
"""Real firmware on emulated boards, over the serial port that QEMU gives them."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from shown_script import episode
from support import board_families, need
from taught_support import knowing

from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.platform import CHIP_FACTS
from bitmar_tiny.device.connect import open_line
from bitmar_tiny.device.protocol import pattern
from bitmar_tiny.errors import ConfigError, ToolError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.run.session import SessionOptions, open_session
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import Event, random_image, standard
from bitmar_tiny.verify.trace import possible

FAMILIES = board_families("bare")
#: The demo model, 300 tokens: a minute and a half.
SOAK = bool(os.environ.get("BITMAR_SOAK"))
GONE_S = 120.0


@pytest.mark.parametrize("name, family", FAMILIES)
def test_bit_exact_over_the_serial_port(tiny, name, family):
    """Image, episodes, eviction, and a power cut that is a real reset; and 64 KB at once arrive whole."""
    need(name)
    model = random_model(preset("demo")) if SOAK else tiny
    board = open_session(f"qemu:{name}/{family}", model, SessionOptions(flags=("-DBM_TAPS",)))
    try:
        script = possible(standard(model.config, 300 if SOAK else 28), board)
        assert any(e.kind == "power" for e in script) and board.emulated and board.identity.board == name
        assert verify(model, board, script).exact
        assert board.sink(pattern(1 << 16)) == 0
        counters = board.counters()
        assert counters["lost"] == 0 and 500 < counters["stack_peak"] < load_board(name).stack_bytes
    finally:
        board.close()


@pytest.mark.parametrize("name, family", [("mps2-an500", "portable"), ("mps3-an547", "helium")])
def test_convolutions_over_the_serial_port(seeing, name, family):
    """A picture comes vector by vector and is looked at when all of it is there."""
    need(name)
    board = open_session(f"qemu:{name}/{family}", seeing, SessionOptions(flags=("-DBM_TAPS",)))
    try:
        picture = random_image(seeing.config, np.random.default_rng(6))
        script = [Event("begin"), Event("image", image=picture), *(Event("token", t) for t in range(4))]
        script += [Event("begin"), Event("image", image=np.ones_like(picture)), Event("token", 4)]  # white
        assert verify(seeing, board, script).exact
    finally:
        board.close()


def test_what_was_shown_once_is_known_over_the_serial_port():
    """Every tensor of it; and a board whose memory is in RAM forgets it when it is off."""
    need("mps2-an500")
    model = knowing()
    shown, asked = episode(model, "red", "This is a dax."), episode(model, "red", "This is")
    script = [*shown, Event("write"), *asked, Event("power"), *asked]
    board = open_session("qemu:mps2-an500", model, SessionOptions(flags=("-DBM_TAPS",)))
    try:
        assert board.can_restart and board.memory_tier == "ram"
        assert verify(model, board, script).exact
    finally:
        board.close()


def test_a_killed_command_leaves_no_emulator(tiny, tmp_path):
    need("mps2-an500")
    tiny.save(tmp_path / "m.bitmar")
    code = (
        f"from bitmar_tiny.frozen import FrozenModel\nfrom bitmar_tiny.device.connect import open_line\n"
        f"line = open_line('qemu:mps2-an500', FrozenModel.load({str(tmp_path / 'm.bitmar')!r}))\n"
        "print(line.process.pid, flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as command:
        pid = int(command.stdout.readline())
        command.send_signal(signal.SIGKILL)
    until = time.monotonic() + GONE_S
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_is_told_to_end_clears_away(tmp_path, number):
    """What it generated, built and started."""
    need("host")
    made = tmp_path / "tmp"
    made.mkdir()
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "from bitmar_tiny.cli.app import main; main()"
    )  # whoever started the tests may ignore them (nohup)
    with subprocess.Popen(
        [sys.executable, "-c", code, "verify", "--preset", "demo", "--port", "host:", "--tokens", "100000"],
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(made)},
    ) as command:
        try:
            while not list(made.glob("bitmar-*")) and command.poll() is None:
                time.sleep(0.02)
            command.send_signal(number)
            assert command.wait(GONE_S) == 128 + number
        finally:
            command.kill()
    assert not list(made.iterdir())


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def test_what_cannot_be_started_is_said(tiny, monkeypatch):
    with pytest.raises(ConfigError, match="firmware for host cannot be started so"):
        open_line("qemu:host", tiny)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolError, match="qemu-system-arm"):
        open_line("qemu:mps2-an500", tiny)


@pytest.mark.parametrize("name", sorted({name for name, _ in FAMILIES}))
def test_a_bare_project_has_only_its_own_chips_files(tiny, tmp_path, name):
    board = load_board(name)
    project, platform = emit(tiny, board, tmp_path / "p"), board.platform.folder
    chips = {chip: {p.name for p in (platform / "chips" / chip).iterdir()} for chip in board.platform.chips()}
    core = {
        f.name
        for c in (platform / "cores").iterdir()
        for f in c.iterdir()
        if c.name in board.platform.chip_facts(board).values()
    }
    own = (
        {p.name for p in (platform / "src").iterdir()}
        | {"bare.ld"}
        | (chips[board.chip] - {CHIP_FACTS})
        | core
    )
    assert len(chips) > 1 and chips[board.chip]
    assert {p.name for p in project.sources.glob("bare*")} == own
    script = (project.sources / "bare.ld").read_text()
    for region in board.regions:
        assert f"{region.name} : ORIGIN = {region.address:#010x}, LENGTH = {region.size} " in script
