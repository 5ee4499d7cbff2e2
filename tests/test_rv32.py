# SPDX-License-Identifier: Apache-2.0
"""How many instructions kernel family ``rv32`` saves (simulated: QEMU executes one at a time and writes each
down). ``test_kernels.py`` proves what it computes.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest
from firmware.build import HERE, KERNELS, RUN_TIMEOUT_S, RUNTIME
from support import need

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import BASE_FLAGS
from bitmar_tiny.codegen.kernels import families

BOARD, EMULATOR = "riscv32-virt", "qemu-riscv32"
#: Where the library's linker script may put code and data; no register points to small data.
LINK = (
    "-Wl,--defsym=__flash=0x100000,--defsym=__flash_size=0x100000",
    "-Wl,--defsym=__ram=0x400000,--defsym=__ram_size=0x100000,--no-relax",
)
#: What is called -> the call, products in it, how many times fewer instructions at least.
CALLS = {
    "gemv 128x128": ("bm_gemv_t2s8(w, x, 0, 128, 128, y)", 128 * 128, 5.0),
    "gemv 512x128": ("bm_gemv_t2s8(w, x, 0, 512, 128, y)", 512 * 128, 5.8),
    "gemv 128x512": ("bm_gemv_t2s8(w, x, 0, 128, 512, y)", 128 * 512, 4.8),
    "dots": ("bm_dots_s8((const int8_t *)w, 128, x, 64, 32, y)", 64 * 32, 5.0),
    "wsum": ("bm_wsum_s8(y, (const int8_t *)w, 128, 64, 32, y + 512)", 64 * 32, 1.25),
    "head of 1.6 bits": ("bm_gemv_t5s8(w, table, 512, 128, y)", 512 * 128, 1.5),
}


def instructions(folder, family: str, call: str) -> int:
    """Executed by one call, compiled as what runs once per token is."""
    need(BOARD, "gcc")
    if not shutil.which(EMULATOR):
        pytest.skip(f"{EMULATOR} is missing (apt-get install qemu-user)")
    compiler = load_board(BOARD).compilers["gcc"]
    sources = [f for f in families()[family].files() if f.suffix != ".h"]
    program, trace = folder / family, folder / f"{family}.trace"
    command = [*compiler.argv, *BASE_FLAGS, *compiler.flags, "-O3", f"-I{RUNTIME}", f"-I{KERNELS}"]
    command += [
        f"-DCALL={call}",
        str(HERE / "rv32_calls.c"),
        str(RUNTIME / "bm_gemv_t5.c"),
        *map(str, sources),
    ]
    command += ["-nostartfiles", "-static", *LINK, "-o", str(program), *compiler.link]
    subprocess.run(command, check=True, timeout=RUN_TIMEOUT_S)
    options = ["-singlestep", "-d", "exec,nochain", "-D", str(trace)]
    subprocess.run([EMULATOR, *options, str(program)], check=True, timeout=RUN_TIMEOUT_S)
    lines = [line.split()[-1] for line in trace.read_text().splitlines() if line.startswith("Trace")]
    return sum(name != "_start" for name in lines)


@pytest.mark.parametrize("what", CALLS)
def test_fewer_instructions_than_portable_c(tmp_path, what):
    call, products, least = CALLS[what]
    portable, ours = (instructions(tmp_path, family, call) for family in ("portable", "rv32"))
    print(f"{what}: {portable} and {ours}, {portable / products:.2f} and {ours / products:.2f} a product")
    assert portable >= least * ours > 0, (portable, ours)


@pytest.mark.parametrize(
    "board, cycles",
    [("esp32-c3-devkitm-1", 1.33), ("esp32-c6-devkitc-1", 1.09), ("esp32-p4-function-ev", 1.09)],
)
def test_figures_of_the_profiles_are_these_counts(tmp_path, board, cycles):
    """Times the cycles of an instruction that the profile states."""

    def rate(*calls: str) -> float:
        products = sum(CALLS[c][1] for c in calls)
        return products / sum(instructions(tmp_path, "rv32", CALLS[c][0]) for c in calls) / cycles

    speed = load_board(board).speed
    assert speed.family == "rv32"
    assert speed.gemv[128] == pytest.approx(rate("gemv 128x128"), rel=0.03)
    assert speed.gemv[512] == pytest.approx(rate("gemv 128x512"), rel=0.03)
    assert speed.head_1_6 == pytest.approx(rate("head of 1.6 bits"), rel=0.03)
    assert speed.attention == pytest.approx(rate("dots", "wsum"), rel=0.03)
