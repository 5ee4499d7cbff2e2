# SPDX-License-Identifier: Apache-2.0
"""Runs a module of platform ``web`` in wasmtime, as a program that answers on its standard input and output:

    python -m bitmar_tiny.device.wasm PROGRAM.wasm link [--store FILE]

What the module exports is written in firmware_templates/platforms/web/src/web.h. ``model.blob`` lies beside
the module, or in a folder above it, as in a project. The file of a store is replaced whole after each change,
before the answer that tells of it.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import BitmarError, DeviceError
from ..extras import need
from ..files import atomic_file

BLOB = "model.blob"
#: The clock that a module imports. A function of Python takes longer than much of what is measured with it.
CLOCK = """(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "clock") (result f64)
    (drop (call $time (i32.const 1) (i64.const 1) (i32.const 0)))
    (f64.convert_i64_u (i64.load (i32.const 0)))))"""
PIECE = 65536  # bytes read from the line at a time
GLANCE_NS = 2_000_000  # of work between two looks at the line


class Module:
    """An instance of a module: a board whose line is memory. ``why``: why its model does not run; or empty.

    blob, store: the packed model and the memory's store; store None for a module that has none.
    """

    def __init__(self, wasm: Path, blob: bytes, store: bytes | None = None) -> None:
        import wasmtime

        engine = wasmtime.Engine()
        self._store = wasmtime.Store(engine)
        self._store.set_wasi(wasmtime.WasiConfig())
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        linker.define_instance(
            self._store, "bm", linker.instantiate(self._store, wasmtime.Module(engine, CLOCK))
        )
        exports = linker.instantiate(self._store, wasmtime.Module.from_file(engine, str(wasm))).exports(
            self._store
        )
        self._exports, self._memory = exports, exports["memory"]
        self.run = self._call("run")
        if len(blob) == self._call("blob_bytes")():  # another one is no model of this module, which says so
            self._put("blob", blob, self._call("blob")())
        if store is not None and "bm_web_store" in exports:
            self._put("store", store, self._call("store")(len(store)))
        self._call("start")()
        self._input, self._room = self._call("input")(), self._call("input_bytes")()
        self._receive, self._bytes = self._call("receive"), self._call("output_bytes")
        self._output, self._taken = self._call("output"), self._call("output_taken")
        self._disk = self._call("store_changed") if "bm_web_store" in exports else None

    @property
    def why(self) -> str:
        at = self._call("why")()
        text = self._memory.read(self._store, at, at + 256) if at else b""
        return bytes(text).partition(b"\0")[0].decode()

    def receive(self, data: bytes) -> None:
        """Bytes that arrive on its line."""
        for at in range(0, len(data), self._room):
            piece = data[at : at + self._room]
            self._memory.write(self._store, piece, self._input)
            self._receive(len(piece))

    def output(self) -> bytes:
        """What it has sent since the last call."""
        n = self._bytes()
        if not n:
            return b""
        at = self._output() & 0xFFFFFFFF
        data = bytes(self._memory.read(self._store, at, at + n))
        self._taken()
        return data

    def changes(self) -> dict[int, bytes]:
        """Pieces of its store that were written since the last call, by their offset."""
        found: dict[int, bytes] = {}
        unit = self._call("store_unit")() if self._disk else 0
        while self._disk and (offset := self._disk()) >= 0:
            at = self._at + offset
            found[offset] = bytes(self._memory.read(self._store, at, at + unit))
        return found

    def _call(self, name: str) -> Callable[..., int]:
        function, store = self._exports[f"bm_web_{name}"], self._store
        return lambda *arguments: function(store, *arguments)

    def _put(self, what: str, data: bytes, at: int) -> None:
        at &= 0xFFFFFFFF
        if not at:
            raise DeviceError(f"The module has no room for a {what} of {len(data)} bytes.")
        self._memory.write(self._store, data, at)
        self._at = at  # the store is put last


def serve(module: Module, store: Path | None) -> None:
    """Answer on standard input and output until it ends. ``store``: file that its store is kept in."""
    kept = bytearray(store.read_bytes()) if store else bytearray()
    busy = False
    while True:
        if select.select([0], [], [], 0 if busy else None)[0]:
            data = os.read(0, PIECE)
            if not data:
                return
            module.receive(data)
        until = time.perf_counter_ns() + GLANCE_NS
        busy = True
        while busy and time.perf_counter_ns() < until:
            busy = bool(module.run())
        changes = module.changes()
        for offset, piece in changes.items():
            kept[offset : offset + len(piece)] = piece
        if changes and store:
            with atomic_file(store) as file:
                file.write(kept)
        _write(module.output())


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def blob_of(wasm: Path) -> bytes:
    """The packed model that lies with a module. ``DeviceError`` if there is none."""
    for folder in wasm.absolute().parents[:3]:
        if (folder / BLOB).is_file():
            return (folder / BLOB).read_bytes()
    raise DeviceError(f"{wasm}: there is no {BLOB} beside it or above it.", "Copy it from the project.")


def main(arguments: list[str]) -> int:
    """0, or 1 with a sentence on standard error."""
    wasm, command, *options = arguments
    try:
        if command != "link" or options[:1] not in ([], ["--store"]) or len(options) not in (0, 2):
            raise DeviceError(f"A module knows no command '{' '.join([command, *options])}'.")
        need("wasmtime")
        store = Path(options[1]) if options else None
        module = Module(Path(wasm), blob_of(Path(wasm)), store.read_bytes() if store else None)
        serve(module, store)
    except BitmarError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
