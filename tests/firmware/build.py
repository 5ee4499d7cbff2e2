"""Compile C test programs with the compilers of the board profiles, and exchange calls with them.

A driver program reads calls from stdin and writes results to stdout (``driver.h`` draws the bytes), so the same
test runs natively, under a sanitizer and in an emulator.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import BASE_FLAGS, runner
from support import has_family, need

ROOT = Path(__file__).resolve().parents[2]
RUNTIME = ROOT / "firmware_templates" / "runtime"
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
FAMILY_FLAGS = {
    family: flags
    for board in ("host", "host-avx512")
    for family, flags in load_board(board).kernel_flags.items()
}
if not has_family("avxvnni"):  # the same operations in their AVX-512 encoding, so that they can be run
    FAMILY_FLAGS["avxvnni"] = FAMILY_FLAGS["avx512vnni"]
SANITIZE = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
COMPILE_TIMEOUT_S, RUN_TIMEOUT_S = 600, 300  # a first program makes zig build its C library


def compile(sources, flags, out: Path, compiler: str = "gcc", family: str = "portable") -> list[str]:
    """Compile and link ``sources`` into the program ``out``; returns the command that runs it here.

    ``family`` is the kernel family that the runtime calls; its file must be among the sources if anything calls it.

    The flags of the numerics contract, of the board and of a kernel family's file are added. Skips the test,
    saying what to install, where the compiler or the emulator is missing.
    """
    board_name, name = COMPILERS[compiler]
    need(board_name, name)
    board = load_board(board_name)
    tool = board.compilers[name]
    command = [part.format(python=sys.executable) for part in tool.command]
    out.parent.mkdir(parents=True, exist_ok=True)
    objects = []
    for source in map(Path, sources):
        own_family = source.stem.removeprefix("bm_kernels__")
        own = (
            FAMILY_FLAGS.get(own_family, [])
            if board.machine == "x86_64"
            else board.family_flags(own_family, tool)
        )
        target = out.parent / f"{out.name}-{source.stem}.o"
        _run(
            [
                *command,
                *BASE_FLAGS,
                *tool.flags,
                *flags,
                *own,
                f"-DBM_KERNELS={family}",
                f"-I{RUNTIME}",
                f"-I{source.parent}",
                "-c",
                str(source),
                "-o",
                str(target),
            ]
        )
        objects.append(str(target))
    _run([*command, *tool.flags, *flags, *objects, "-o", str(out)])
    return [*runner(board), str(out)]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"


@dataclass
class Case:
    """One call and what it must give, bit for bit.

    ``arrays`` are passed in order; an array in ``want`` (index -> expected values) comes back and is compared over the
    length of the expectation. ``result`` holds the expected return values: integers, or float32 compared by their bits.
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
    at = 0
    for case in cases:
        got = np.frombuffer(done.stdout, "<u4", 2, at)[: len(case.result)]
        at += 8
        want = np.array([_word(v) for v in case.result], np.uint32)
        assert np.array_equal(got, want), f"{case.title}: returned {_hex(got)}, expected {_hex(want)}"
        for i in sorted(case.want):
            array = case.arrays[i]
            _compare(
                f"{case.title}, array {i}",
                np.frombuffer(done.stdout, array.dtype, array.size, at),
                case.want[i],
            )
            at += array.nbytes
    assert at == len(done.stdout)


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
