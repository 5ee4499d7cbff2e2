# SPDX-License-Identifier: Apache-2.0
"""The WebAssembly module: every tensor, in wasmtime; its line, its blob, its store, and what it exports."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shown_script import answers, show_once
from support import board_families, need
from taught_support import knowing

import bitmar_tiny as bt
from bitmar_tiny.arch.config import preset
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.data.show_once import UNKNOWN
from bitmar_tiny.device.channel import LinkChannel
from bitmar_tiny.device.connect import connect
from bitmar_tiny.device.protocol import BY_NAME, pattern
from bitmar_tiny.device.wasm import Module, blob_of
from bitmar_tiny.errors import DeviceError
from bitmar_tiny.frozen import random_model
from bitmar_tiny.memory.store import MemoryStore
from bitmar_tiny.run.device import DeviceSession
from bitmar_tiny.run.firmware import ProgramSession
from bitmar_tiny.run.golden import GoldenSession
from bitmar_tiny.run.session import open_session
from bitmar_tiny.verify.compare import verify
from bitmar_tiny.verify.script import standard

WEB = load_board("web")
FAMILIES = [family for _, family in board_families("web")]
PICTURES = Path(__file__).resolve().parents[2] / "examples" / "pictures"
HEADER_FILE = WEB.platform.folder / "src" / "web.h"
#: Without the model: page and program together have 150 kB.
PROGRAM_BYTES = 90_000


def made(model, folder, family="portable", memory="auto", **how):
    """A project of the module, and the module."""
    need("web")
    project = emit(model, WEB, folder / f"{model.config.name}-{family}", family, memory=memory)
    return project, build(project.path, WEB, family, **how)


def in_node(project, program):
    """The same module in the JavaScript that a project has."""
    if shutil.which("node") is None:
        pytest.skip("no node: apt-get install nodejs")
    return replace(program, runner=["node", str(project.path / "node.mjs")])


@pytest.fixture(scope="module")
def module(tiny, tmp_path_factory):
    return made(tiny, tmp_path_factory.mktemp("web"), memory="sd")


def started(module, blob=None, store=None):
    project, program = module
    store = project.memory_store.read_bytes() if store is None else store
    return Module(program.path, blob_of(program.path) if blob is None else blob, store)


class MemoryLine:
    """A module in this process, as a line."""

    name = "memory"

    def __init__(self, module):
        self.module, self.busy = module, False

    def read(self, wait_s, writable=False):
        self.busy = bool(self.module.run())
        return self.module.output()

    def write(self, data):
        self.module.receive(data)
        return len(data)

    def unsent(self):
        return 0

    def close(self):
        pass


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name, tokens", [("odd", 60), ("grouped", 40), ("keyed", 40), ("seeing", 12)])
def test_every_tensor(request, tmp_path, family, name, tokens):
    model = request.getfixturevalue(name)
    project, program = made(model, tmp_path, family, taps=True)
    with ProgramSession(program, WEB, family) as session:
        verdict = verify(model, session, standard(model.config, tokens), project.sources)
    assert verdict.exact, verdict.difference.sentence()


@pytest.mark.parametrize("family", FAMILIES)
def test_without_optimisation(tiny, tmp_path, family):
    project, program = made(tiny, tmp_path, family, taps=True, opt="-O0")
    with ProgramSession(program, WEB, family) as session:
        verdict = verify(tiny, session, standard(tiny.config, 30), project.sources)
    assert verdict.exact, verdict.difference.sentence()


def check_long(model, folder, tokens, node=False):
    project, program = made(model, folder, WEB.kernels[0], taps=True)
    if node:
        program = in_node(project, program)
    with ProgramSession(program, WEB, model.config.name) as session:
        verdict = verify(model, session, standard(model.config, tokens), project.sources)
    assert verdict.exact, verdict.difference.sentence()


@pytest.mark.parametrize("name", ["demo", "recall", "things"])
def test_the_models_that_ship(tmp_path, name):
    check_long(bt.load(name), tmp_path, 24)


@pytest.mark.parametrize("node, tokens", [(False, 1100), (True, 60)], ids=["wasmtime", "node"])
def test_paper_past_its_window(tmp_path, node, tokens):
    check_long(random_model(preset("paper")), tmp_path, tokens, node)


def test_a_thing_shown_once_is_known_after_a_power_cut(tmp_path):
    """By the model that ships: taught over the link, asked with another's drawing."""
    from bitmar_tiny.api.things import ask_thing, taught_things, teach_thing

    model = bt.load("things")
    project, program = made(model, tmp_path, WEB.kernels[0], memory="sd")
    store = project.memory_store
    names = {"house": "grandma", "mushroom": "my mushroom"}
    with ProgramSession(program, WEB, "web", store) as session:
        for picture, name in names.items():
            teach_thing(model, name, PICTURES / f"{picture}.png", on=session)
        session.restart()
        for picture, name in names.items():
            assert ask_thing(model, PICTURES / "another" / f"{picture}.png", on=session).name == name
        assert {t.name for t in taught_things(model, on=session)} == set(names.values())


def test_what_was_shown_once_outlives_a_power_cut(tmp_path):
    """Every tensor of showing, and of asking after the power was off; and it answers what it was told."""
    model = knowing()
    script = show_once(model)
    assert answers(model, script, keeps=True) == [" an apple.", " a dax.", UNKNOWN]
    project, program = made(model, tmp_path, memory="sd", taps=True)
    with ProgramSession(program, WEB, "web", project.memory_store) as session:
        verdict = verify(model, session, script)
        assert session.memory_tier == "sd" and verdict.exact, verdict.difference
        assert not verify(model, session, script, golden=GoldenSession(model, "ram")).exact


def test_node_runs_it_too(tmp_path):
    """The same bytes, by the JavaScript that a project has: every tensor, and the store after a power cut."""
    model = knowing()
    project, program = made(model, tmp_path, memory="sd", taps=True)
    program = in_node(project, program)
    with ProgramSession(program, WEB, "node", project.memory_store) as board:
        verdict = verify(model, board, show_once(model))
        assert board.memory_tier == "sd" and verdict.exact, verdict.difference
        board.begin()
        assert board.sink(pattern(1 << 17)) == 0 and len(board.source(1 << 17)) == 1 << 17


def test_a_module_says_who_it_is_and_that_its_time_is_real(tiny):
    need("web")
    with open_session("web", tiny) as session:
        who = session.identity
        assert (who.board, who.kernels, who.cycles_hz) == ("web", WEB.kernels[0], 10**9)
        assert {"score", "keep"} <= who.flags and not session.emulated and session.can_restart
        assert session.sink(pattern(1 << 17)) == 0
        assert len(session.source(1 << 17)) == 1 << 17
        counters = session.counters()
        assert 500 < counters["stack_peak"] < WEB.stack_bytes
        assert counters["damaged"] == counters["resent"] == counters["lost"] == 0


def test_the_module_is_small_and_imports_its_clock_alone(module):
    """And what it exports is what web.h says."""
    import wasmtime

    wasm = wasmtime.Module.from_file(wasmtime.Engine(), str(module[1].path))
    assert [(i.module, i.name) for i in wasm.imports] == [("bm", "clock")]
    names = {e.name for e in wasm.exports}
    assert names == {"memory"} | set(re.findall(r"\b(bm_web_\w+)\(", HEADER_FILE.read_text()))
    assert module[1].path.stat().st_size < PROGRAM_BYTES


def test_a_blob_of_another_build_is_refused(module):
    project, program = module
    good = blob_of(program.path)
    assert started(module).why == ""
    damaged = bytes([*good[:-1], good[-1] ^ 1])
    for blob in (b"", good[:-64], damaged):
        assert "the model blob is damaged or was made for another build" in started(module, blob).why


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda s: b"", "is cut short"),
        (lambda s: b"\xff" * len(s), "it is blank"),
        (lambda s: b"GIF89a" + bytes(len(s) - 6), "something else than a memory"),
        (lambda s: s[: len(s) // 2], "cut short"),
    ],
)
def test_a_store_that_is_none_is_said(module, change, says):
    assert says in started(module, store=change(module[0].memory_store.read_bytes())).why


def session(board):
    """With a module in this process."""
    return DeviceSession(LinkChannel(connect(MemoryLine(board))))


def test_a_sleeping_module_answers_who_it_is(module):
    with session(started(module, b"")) as board:
        assert "damaged" in board.identity.why
        with pytest.raises(DeviceError, match="the model did not start"):
            board.begin()


def test_a_new_session_ends_the_request_at_work(module):
    """As on every board: in the middle of the text that another host has asked for."""
    line = MemoryLine(started(module))
    first = LinkChannel(connect(line))
    first.link.send(BY_NAME["generate"].pack(1000, 1, 0.0, 0, 1))
    assert first.link.receive(5) and line.busy
    with DeviceSession(LinkChannel(connect(line))) as board:
        assert not line.busy
        board.begin()
        assert len(list(board.generate([1, 2], 5))) == 5


def test_what_changed_between_two_runs_is_a_whole_memory(module, tiny, tmp_path):
    """A host that keeps it so has the memory of before or after an episode."""
    module_, kept = started(module), bytearray(module[0].memory_store.read_bytes())
    seen = [bytes(kept)]
    path = tmp_path / "kept.store"
    with session(module_) as board:
        for word in (1, 2):
            board.begin()
            board.tokens([tiny.config.vocab_size - 1, word])
            assert not module_.changes()
            board.end()
            changed = module_.changes()
            assert 0 < len(changed) < len(kept) // 4096 and not module_.changes()
            for offset, piece in changed.items():
                kept[offset : offset + len(piece)] = piece
            path.write_bytes(kept)
            memory, damaged = MemoryStore.open(path, tiny.digest).check()
            assert not damaged and np.array_equal(memory.codes, board.read_memory().codes)
            seen.append(bytes(kept))
    assert len(set(seen)) == 3 and started(module, store=seen[-1]).why == ""
