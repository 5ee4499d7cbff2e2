# SPDX-License-Identifier: Apache-2.0
"""The kernel with five weights in a byte against NumPy, tolerance zero: shapes that nothing divides, the
accumulator's bounds, pieces that start inside the matrix, and bytes that packing never writes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from firmware.build import RUNTIME, SANITIZE, Case, check, compile
from test_kernels import ROWS, extremes, output, up

from bitmar_tiny.codegen.pack import pack5, packed5_size, table5_bytes

DRIVER = Path(__file__).parent / "firmware" / "t5_driver.c"
WIDTHS = (1, 4, 5, 6, 64, 96, 100, 127, 128, 2560, 4096)


def table(x: np.ndarray) -> np.ndarray:
    """int16 [ceil(k / 5), 243] by the definition: digit i of a byte, less one, times x of k = 5 step + i."""
    digits = np.arange(243)[:, None] // 3 ** np.arange(5) % 3 - 1
    padded = np.concatenate([x, np.zeros(up(x.size, 5) - x.size, np.int8)]).astype(np.int64)
    return (padded.reshape(-1, 5) @ digits.T).astype(np.int16)


def gemv(title: str, packed: np.ndarray, x: np.ndarray, want: np.ndarray) -> Case:
    return Case(
        title, "gemv", (want.size, x.size), arrays=(packed, x, output(up(want.size, 4))), want={2: want}
    )


def table_cases(k: int) -> list[Case]:
    vectors = {name: x for name, _, x in extremes(np.random.default_rng(k), k)}
    vectors["x = -128"] = np.full(k, -128, np.int8)
    return [
        Case(
            f"table {k} {name}",
            "table",
            (k,),
            arrays=(x, np.full(table5_bytes(k, "portable") // 2, 0x5A5A, np.int16)),
            want={1: table(x)},
        )
        for name, x in vectors.items()
    ]


def gemv_cases(n: int, k: int) -> list[Case]:
    rng, cases = np.random.default_rng(n * 10007 + k), []
    for name, row, x in extremes(rng, k):
        trits = rng.integers(-1, 2, (n, k)).astype(np.int8) if row is None else np.tile(row, (n, 1))
        packed, want = (
            np.frombuffer(pack5(trits, "portable"), np.uint8),
            (trits.astype(np.float64) @ x).astype(np.int32),
        )
        cases.append(gemv(f"gemv {n}x{k} {name}", packed, x, want))
        if name == "random" and n > 32:  # as bm_logits reads it: from a row that is a multiple of 32
            cases.append(
                gemv(f"gemv {n}x{k} from row 32", packed[packed5_size(32, k, "portable") :], x, want[32:])
            )
        if name == "random" and n not in (1, 31) and k not in (100, 4096):
            break
    return cases


def foreign_bytes() -> Case:
    """A byte above 242 gives a number without meaning, but reads inside the table."""
    x = np.random.default_rng(9).integers(-127, 128, 128).astype(np.int8)
    flat = np.concatenate([table(x).ravel(), np.zeros(13, np.int16)])
    want = np.full(4, sum(int(flat[243 * s + 255]) for s in range(26)), np.int32)
    return gemv("bytes of 255", np.full(packed5_size(4, 128, "portable"), 255, np.uint8), x, want)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [
        *(c for k in WIDTHS for c in table_cases(k)),
        *(c for n in ROWS for k in WIDTHS for c in gemv_cases(n, k)),
        foreign_bytes(),
    ]


@pytest.mark.parametrize(
    "compiler, opt",
    [
        *((c, o) for c in ("gcc", "zig", "aarch64-gcc", "aarch64-zig") for o in ("-O0", "-O2", "-O3")),
        ("gcc", "sanitize"),
    ],
)
def test_exact(tmp_path, cases, compiler, opt):
    flags = ["-O1", *SANITIZE] if opt == "sanitize" else [opt]
    check(compile([DRIVER, RUNTIME / "bm_gemv_t5.c"], flags, tmp_path / "driver", compiler), cases)
