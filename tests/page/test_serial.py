# SPDX-License-Identifier: Apache-2.0
"""The page speaks to a board over WebSerial: here to the program for this machine, through a port that the
test puts in the browser's place, and over a line that loses and damages bytes.
"""

from __future__ import annotations

import base64
import itertools
import json
import time

import pytest
from device.lines import NoisyLine
from support import need

import bitmar_tiny as bt
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import build
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.device.connect import program_line

LIMIT_S = 120.0
#: navigator.serial with one port, whose bytes go to and come from the test.
PORT = """
Object.defineProperty(navigator, "serial", { value: { requestPort: async () => ({
  async open({ baudRate }) {
    this.baud = baudRate;
    this.readable = new ReadableStream({ start: (controller) => {
      window.fromBoard = (text) => controller.enqueue(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
      window.unplug = () => {
        this.readable = null;
        controller.error(new DOMException("gone", "NetworkError"));
      };
    } });
    this.writable = new WritableStream({ write: (bytes) => toBoard(btoa(String.fromCharCode(...bytes))) });
  },
  async close() { window.portClosed = true; },
}) } });
"""
BOARD_NOTICE = "document.querySelector('#board-notice').textContent"


class Bridge:
    """Carries bytes between a page's port and a line."""

    def __init__(self, tab, line) -> None:
        self.tab, self.line, self.waiting = tab, line, bytearray()
        tab.bindings["toBoard"] = lambda text: self.waiting.extend(base64.b64decode(text))
        tab.call("Runtime.addBinding", name="toBoard")
        tab.call("Page.addScriptToEvaluateOnNewDocument", source=PORT)

    def until(self, script: str):
        """Carry until an expression of the page is true."""
        end = time.monotonic() + LIMIT_S
        for i in itertools.takewhile(lambda _: time.monotonic() < end, itertools.count()):
            while self.waiting:
                del self.waiting[: self.line.write(bytes(self.waiting))]
            data = self.line.read(0.002)
            if data:
                self.tab.run(f"fromBoard({json.dumps(base64.b64encode(data).decode())})")
            elif i % 4 == 0 and (value := self.tab.run(script)):
                return value
            self.tab.browser.rest(0)
        raise AssertionError(f"never true: {script}; {self.tab.run(BOARD_NOTICE)} {self.tab.errors}")


def program(name: str, folder, *flags: str):
    """A model as the program of a board, and a store for it."""
    need("host")
    board = load_board("host")
    project = emit(bt.load(name), board, folder / "project", "portable", memory="sd")
    return build(project.path, board, "portable", extra=flags), board, project.memory_store


@pytest.fixture
def board(things, tmp_path):
    built, profile, store = program("things", tmp_path, "-DBM_TAPS", "-DBM_PROFILE")
    line = program_line(built, profile, "board", store)
    yield line
    line.close()


def connected(tab, url, line) -> Bridge:
    bridge = Bridge(tab, line)
    tab.open_fresh(url)
    tab.click("#connect")
    bridge.until(f"{BOARD_NOTICE}.includes('kernels')")
    return bridge


def test_a_board_is_proven_profiled_taught_and_unplugged(things, tab, board):
    bridge = connected(tab, things.server.url, board)
    assert tab.run("document.querySelector('#where').textContent").strip() == "on host"
    tab.click("#prove")
    assert "tensors" in bridge.until(f"{BOARD_NOTICE}.startsWith('Identical') && {BOARD_NOTICE}")
    tab.run("inside.open = true; measure.click()")
    assert bridge.until("times.querySelectorAll('.bar').length") > 4
    tab.run("document.querySelector('.example img[alt=\"A drawing of a tree\"]').parentElement.click()")
    bridge.until("said.textContent === \"I don't know.\" && !said.classList.contains('writing')")
    tab.run("document.querySelector('#name').value = 'tree'")
    tab.click("#teach-it")
    taught = bridge.until("!notice.textContent.endsWith('…') && notice.textContent")
    assert taught.startswith("Taught: tree, in slot 16.")
    tab.run("unplug()")
    assert "unplugged" in bridge.until(f"{BOARD_NOTICE}.includes('unplugged') && {BOARD_NOTICE}")
    assert tab.wait("things.children.length === 0")  # the page's own memory was not taught
    assert tab.run("document.querySelector('#where').textContent").strip() == "in this page"


def test_noise_on_the_line_costs_time_and_nothing_else(things, tab, board):
    noisy = NoisyLine(board, 0.0005, seed=2)
    bridge = connected(tab, things.server.url, noisy)
    tab.click("#prove")
    assert "tensors" in bridge.until(f"{BOARD_NOTICE}.startsWith('Identical') && {BOARD_NOTICE}")
    assert noisy.harmed > 5
    tab.click("#disconnect")
    bridge.until("window.portClosed")


def test_another_model_on_the_board_is_said(things, tab, tmp_path):
    built, profile, store = program("recall", tmp_path)
    line = program_line(built, profile, "board", store)
    bridge = Bridge(tab, line)
    tab.open_fresh(things.server.url)
    tab.click("#connect")
    assert "another model (recall" in bridge.until(f"{BOARD_NOTICE}.includes('model') && {BOARD_NOTICE}")
    assert tab.run("connect.hidden") is False
    line.close()


def test_a_silent_port_is_said(things, tab):
    class Silent:
        def read(self, wait_s, writable=False):
            return b""

        def write(self, data):
            return len(data)

    bridge = Bridge(tab, Silent())
    tab.open_fresh(things.server.url)
    tab.click("#connect")
    assert "No firmware" in bridge.until(f"{BOARD_NOTICE}.includes('firmware') && {BOARD_NOTICE}")
