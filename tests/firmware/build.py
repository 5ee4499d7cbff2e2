# SPDX-License-Identifier: Apache-2.0
"""Compile C test programs with the compilers of the board profiles, and exchange calls with them.

A driver program reads calls from stdin and writes results to stdout (``driver.h`` draws the bytes), so the
same test runs natively, under a sanitizer and in an emulator.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from support import TINY, has_family, need

from bitmar_tiny.codegen.boards import Board, load_board
from bitmar_tiny.codegen.build import BASE_FLAGS, build, runner
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.codegen.kernels import SOURCE, families
from bitmar_tiny.frozen import random_model

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RUNTIME = ROOT / "firmware_templates" / "runtime" / "model"
STORE = ROOT / "firmware_templates" / "runtime" / "memory_store"
PLATFORMS = ROOT / "firmware_templates" / "platforms"
KERNELS = ROOT / "firmware_templates" / "kernels"
#: Name of a compiler -> board profile and compiler in it.
COMPILERS = {
    "gcc": ("host", "gcc"),
    "zig": ("host", "zig"),
    "aarch64-gcc": ("rpi-zero2", "gcc"),
    "aarch64-zig": ("rpi-zero2", "zig"),
    "a76-gcc": ("rpi-5", "gcc"),
    "a76-zig": ("rpi-5", "zig"),
}
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
COMPILE_TIMEOUT_S, RUN_TIMEOUT_S = 600, 300  # a first program makes zig build its C library
#: Around the results of a board (driver_board.h).
BEGIN, END = b"\nBEGIN results\n", b"\nEND results\n"
#: A board that starts anew ends its emulation.
EMULATOR_OPTIONS = ("-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot")


def compile(sources, flags, out: Path, compiler: str = "gcc") -> list[str]:
    """Compile and link ``sources`` into the program ``out``; returns the command that runs it here.

    ``compiler``: one of ``COMPILERS``, or BOARD/COMPILER. The flags of the numerics contract, of the board
    and, for a kernel that the board has, of its family are added. Skips the test, saying what to install,
    where the compiler or the emulator is missing.
    """
    board_name, name = COMPILERS.get(compiler) or compiler.split("/")
    need(board_name, name)
    board = load_board(board_name)
    tool = board.compilers[name]
    command = tool.argv
    out.parent.mkdir(parents=True, exist_ok=True)
    objects = []
    for source in map(Path, sources):
        own = _family_flags(board, source.parent.name, name) if source.name == SOURCE else []
        include = [f"-I{RUNTIME}", f"-I{KERNELS}", f"-I{source.parent}", f"-I{HERE}"]
        target = out.parent / f"{out.name}-{source.parent.name}-{source.stem}.o"
        _run(
            [*command, *BASE_FLAGS, *tool.flags, *flags, *own, *include, "-c", str(source), "-o", str(target)]
        )
        objects.append(str(target))
    # One optimisation for all links: zig makes a C library for each.
    plain = [f for f in flags if not f.startswith("-O")]
    _run([*command, *tool.flags, *plain, "-O2", *objects, "-o", str(out)])
    return [*runner(board), str(out)]


def _family_flags(board: Board, name: str, compiler: str) -> list[str]:
    """The family's flags, or its twin's where this processor has only what that encodes."""
    if name not in board.kernels:
        return []
    family = families()[name]
    return board.family_flags(name if has_family(name) or not family.twin else family.twin, compiler)


def check_on_board(folder: Path, board: Board, family: str, driver: Path, cases: list[Case]) -> None:
    """Run all cases in one emulation of a board without files: the driver takes the place of `main` in a
    project.
    """
    need(board.name)
    project = emit(random_model(TINY), board, folder, family)
    (folder / "model.blob").write_bytes(b"".join(c.to_bytes() for c in cases))
    shutil.copyfile(driver, project.sources / driver.name)
    extra = ("-DDRIVER_BOARD", f"-I{HERE}", "-Wl,--wrap=main")
    program = build(folder, board, family, extra=extra)
    if board.platform.name == "web":
        compare(_results(_in_module(program.path, b"".join(c.to_bytes() for c in cases)), b""), cases)
        return
    if board.platform.name == "bare":
        command = [*board.emulator, *EMULATOR_OPTIONS, "-kernel", str(program.path)]
    else:
        command = [*program.command, "calls"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=RUN_TIMEOUT_S)
    compare(_results(done.stdout, done.stderr), cases)


def _results(said: bytes, errors: bytes) -> bytes:
    _, begin, rest = said.partition(BEGIN)
    results, end, why = rest.rpartition(END)
    assert begin and end and why == b"done", (said[-300:], errors[-300:])
    return results


def _in_module(path: Path, calls: bytes) -> bytes:
    """What the driver writes in a module of WebAssembly."""
    import wasmtime

    engine = wasmtime.Engine()
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    linker.define_func("bm", "clock", wasmtime.FuncType([], [wasmtime.ValType.f64()]), lambda: 0.0)
    module = linker.instantiate(store, wasmtime.Module.from_file(engine, str(path))).exports(store)
    module["memory"].write(store, calls, module["driver_calls"](store, len(calls)))
    assert module["driver_main"](store) == 0
    at = module["driver_output"](store)
    return bytes(module["memory"].read(store, at, at + module["driver_bytes"](store)))


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


@dataclass
class Case:
    """One call and what it must give, bit for bit.

    ``arrays`` are passed in order; an array in ``want`` (index -> expected values) comes back and is compared
    over the length of the expectation. ``result`` holds the expected return values: integers, or float32
    compared by their bits.
    """

    title: str
    function: str
    u: tuple = ()
    f: tuple = ()
    arrays: tuple = ()
    want: dict[int, np.ndarray] = field(default_factory=dict)
    result: tuple = ()

    def to_bytes(self) -> bytes:
        u = [int(v) & 0xFFFFFFFF for v in self.u] + [0] * (8 - len(self.u))
        f = [float(v) for v in self.f] + [0.0] * (4 - len(self.f))
        head = struct.pack("<32s8I4fI", self.function.encode(), *u, *f, len(self.arrays))
        body = (
            struct.pack("<II", a.nbytes, i in self.want) + np.ascontiguousarray(a).tobytes()
            for i, a in enumerate(self.arrays)
        )
        return head + b"".join(body)


def check(command: list[str], cases: list[Case]) -> None:
    """Run all cases in one process; the first difference fails with its element and both values."""
    done = subprocess.run(
        command, input=b"".join(c.to_bytes() for c in cases), capture_output=True, timeout=RUN_TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    compare(done.stdout, cases)


def compare(results: bytes, cases: list[Case]) -> None:
    """``results``: what the driver wrote for ``cases``."""
    at = 0
    for case in cases:
        got = np.frombuffer(results, "<u4", 2, at)[: len(case.result)]
        at += 8
        want = np.array([_word(v) for v in case.result], np.uint32)
        assert np.array_equal(got, want), f"{case.title}: returned {_hex(got)}, expected {_hex(want)}"
        for i in sorted(case.want):
            array = case.arrays[i]
            _compare(
                f"{case.title}, array {i}", np.frombuffer(results, array.dtype, array.size, at), case.want[i]
            )
            at += array.nbytes
    assert at == len(results)


def _word(value) -> int:
    return (
        int(np.float32(value).view(np.uint32)) if isinstance(value, np.floating) else int(value) & 0xFFFFFFFF
    )


def _hex(words: np.ndarray) -> str:
    return " ".join(f"{w:#010x}" for w in words)


def _compare(title: str, got: np.ndarray, want: np.ndarray) -> None:
    want = np.asarray(want).reshape(-1)
    got = got[: want.size]
    assert got.dtype == want.dtype, f"{title}: {got.dtype} against {want.dtype}"
    unsigned = np.dtype(f"u{want.itemsize}")
    wrong = np.flatnonzero(got.view(unsigned) != want.view(unsigned))
    if wrong.size:
        i = wrong[0]
        raise AssertionError(
            f"{title}: {wrong.size} of {want.size} differ, first [{i}]: got {got[i]} "
            f"({got.view(unsigned)[i]:#x}), expected {want[i]} ({want.view(unsigned)[i]:#x})"
        )
