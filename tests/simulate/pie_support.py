# SPDX-License-Identifier: Apache-2.0
"""What the tests of the ESP32-S3 kernels share: the twin in C, and shapes and vectors."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
from firmware.build import KERNELS, RUNTIME, Case, compile

FIRMWARE = Path(__file__).resolve().parents[1] / "firmware"

#: The twin takes the place of the assembly under the C file that ships, which must think that it is on the
#: chip.
FLAGS = ["-O2", "-D__XTENSA__", "-DCONFIG_IDF_TARGET_ESP32S3"]
RUN_TIMEOUT_S = 120


def build_twin(folder: Path, *flags: str) -> list[str]:
    """Command of the twin's driver program."""
    sources = [
        FIRMWARE / "pie_twin.c",
        KERNELS / "pie" / "bm_kernels.c",
        RUNTIME / "bm_gemv_skip.c",
        RUNTIME / "bm_sampler.c",
        RUNTIME / "bm_numerics.c",
    ]
    return compile(sources, [*FLAGS, *flags], folder / "twin")


def ask(command: list[str], case: Case) -> tuple[int, int, list[bytes]]:
    """One call's two results and the arrays that its ``want`` names."""
    done = subprocess.run(
        command, input=case.to_bytes(), capture_output=True, timeout=RUN_TIMEOUT_S, check=True
    )
    out, at = [], 8
    for i in sorted(case.want):
        out.append(done.stdout[at : at + case.arrays[i].nbytes])
        at += case.arrays[i].nbytes
    return *struct.unpack_from("<II", done.stdout), out


def product(trits: np.ndarray, x: np.ndarray) -> np.ndarray:
    """int32 [N]: what a kernel must give."""
    return (trits.astype(np.int64) @ x.astype(np.int64)).astype(np.int32)


def vectors(rng: np.random.Generator, n: int, k: int):
    """(name, trits [n, k], codes [k]): random ones and those that reach the bounds."""
    full = np.full(k, 127, np.int8)
    turns = np.where(np.arange(k) % 2, full, -full).astype(np.int8)
    trits = rng.integers(-1, 2, (n, k)).astype(np.int8)
    yield "random", trits, rng.integers(-127, 128, k).astype(np.int8)
    yield "random, x = 127", trits, full
    for row, name in (
        (np.ones(k), "+1"),
        (-np.ones(k), "-1"),
        (np.zeros(k), "0"),
        (np.sign(turns), "alternating"),
    ):
        tiled = np.tile(row.astype(np.int8), (n, 1))
        for x, of in ((full, "127"), (-full, "-127"), (turns, "alternating")):
            yield f"all {name}, x = {of}", tiled, x
