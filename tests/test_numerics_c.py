# SPDX-License-Identifier: Apache-2.0
"""Every primitive of the C runtime against golden/numerics.py, golden/model.py and golden/sampler.py: equal
bits.

All cases are computed once, in NumPy, and given to every build of one driver: compilers, optimisation levels,
kernel families, a sanitizer build and an emulated Cortex-A53."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from firmware.build import KERNELS, RUNTIME, SANITIZE, Case, check, compile
from support import has_family

from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.golden.model import GoldenModel, forget_threshold
from bitmar_tiny.golden.sampler import Sampler

F32 = np.float32
DRIVER = Path(__file__).parent / "firmware" / "numerics_driver.c"
SOURCES = [
    DRIVER,
    *(
        RUNTIME / f"bm_{name}.c"
        for name in ("numerics", "attention", "memory", "memory_keyed", "crc32", "sampler", "selftest")
    ),
]
WIDTHS = (1, 3, 63, 64, 65, 96, 128, 200, 768, 2560)


def up(n: int, to: int = 64) -> int:
    return -(-n // to) * to


def padded(codes: np.ndarray, to: int = 64) -> np.ndarray:
    """Rows of codes as buffers hold them: zeros up to a multiple of ``to``."""
    out = np.zeros((*codes.shape[:-1], up(codes.shape[-1], to)), np.int8)
    out[..., : codes.shape[-1]] = codes
    return out


def garbage(n: int, dtype=F32) -> np.ndarray:
    """What an output buffer holds before the call: never zeros."""
    return np.full(n * np.dtype(dtype).itemsize, 0x5A, np.uint8).view(dtype)


def codes(rng, *shape) -> np.ndarray:
    return rng.integers(-127, 128, shape).astype(np.int8)


def scales(rng, n: int) -> np.ndarray:
    return (rng.uniform(0.2, 3, n) / 127).astype(F32)


# -- element-wise functions --------------------------------------------------------------------


def elementwise(function: str, x: np.ndarray, want: np.ndarray) -> Case:
    return Case(function, function, (x.size,), arrays=(x, garbage(x.size, want.dtype)), want={1: want})


def scalar_cases() -> list[Case]:
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [
            -rng.uniform(0, 81, 600_000),
            -rng.exponential(1, 400_000),
            [0, -0.0, -80, -80.5, -1e4, -1e30, -(2.0**-60), -(2.0**-126), -np.log(2)],
            -np.arange(0.5, 115) * np.log(2),
        ]
    ).astype(F32)  # near ties of the exponent
    mantissas = np.concatenate([np.arange(0, 1 << 23, 41), np.arange(4096), (1 << 23) - 1 - np.arange(4096)])
    roots = [((e << 23) | mantissas).astype(np.uint32).view(F32) for e in (1, 2, 126, 127, 128, 253, 254)]
    roots += [
        ((rng.integers(1, 255, 200_000) << 23) | rng.integers(0, 1 << 23, 200_000))
        .astype(np.uint32)
        .view(F32),
        np.arange(5000, dtype=F32) ** 2,
        np.zeros(1, F32),
    ]
    root = np.concatenate(roots)
    ties = np.concatenate(
        [
            np.arange(-40000, 40000) / F32(2),
            np.nextafter(np.arange(-300.5, 300), -np.inf),
            rng.uniform(-(2**21), 2**21, 100_000),
            [2**22 - 1, -(2**22) + 1, 2**22 - 0.5, -0.0],
        ]
    ).astype(F32)
    counts = np.concatenate([np.arange(1, 5000), rng.integers(1, 1 << 31, 5000)]).astype(np.uint32)
    pixels = np.arange(256, dtype=np.uint8)
    return [
        elementwise("exp_neg", x, nm.exp_neg(x)),
        elementwise("sqrt", root, np.sqrt(root)),
        elementwise("rne", ties, nm.rne(ties)),
        elementwise("pixels", pixels, nm.pixels(pixels)),
        elementwise("inv_sqrt", counts, np.array([nm.inv_sqrt(int(n)) for n in counts])),
    ]


# -- quantisers --------------------------------------------------------------------------------


def vectors(rng, n: int):
    """Vectors that a quantiser may trip over."""
    normal = rng.normal(size=n).astype(F32)
    yield "normal", normal
    yield "heavy tails", (rng.standard_cauchy(n) * 100).astype(F32)
    yield "zero", np.zeros(n, F32)
    yield "negative zero", np.full(n, -0.0, F32)
    yield "one outlier", np.where(np.arange(n) == n // 2, F32(-1e6), normal * F32(1e-3)).astype(F32)
    yield "positive", np.abs(normal) + F32(0.1)
    yield "below tiny", normal * F32(2.0**-63)
    yield "at tiny", np.full(n, nm.TINY)
    yield "just below tiny", np.full(n, np.nextafter(nm.TINY, F32(0)))
    yield "huge", normal * F32(2.0**60)
    halves = ((np.arange(n) % 254) - 126.5).astype(F32)  # with the maximum 127: every code is a tie
    halves[0] = 127
    yield "ties", halves


def quantizer_cases(n: int) -> list[Case]:
    rng, cases = np.random.default_rng(n), []

    def case(title, function, u, x, got, *extra):
        c, scale = got
        return Case(
            f"{function} {n} {title}",
            function,
            (n, u),
            arrays=(x, garbage(up(n), np.int8), *extra),
            want={1: padded(c)},
            result=(F32(scale), c.sum(dtype=np.int32)),
        )

    for name, v in vectors(rng, n):
        gain = rng.uniform(0.5, 1.5, n).astype(F32)
        cases += [
            case(name, "quantize", 0, v, nm.quantize(v)),
            case(name, "norm_quantize", 0, v, nm.norm_quantize(v), np.zeros(0, F32)),
            case(f"{name}, gain", "norm_quantize", 0, v, nm.norm_quantize(v, gain), gain),
        ]
    largest = 127 * 2560
    for name, acc in (
        ("random", rng.integers(-largest, largest, n)),
        ("negative", -rng.integers(0, largest, n)),
        ("one", np.arange(n) == 0),
        ("full", np.full(n, largest)),
        ("small", rng.integers(-3, 4, n)),
    ):
        acc = acc.astype(np.int32)
        for kind in ("relu", "relu2"):
            cases.append(
                case(
                    f"{kind} {name}",
                    "act_quantize",
                    kind == "relu2",
                    acc,
                    nm.norm_quantize(nm.activation(acc, kind)),
                )
            )
    for name, c in (
        ("random", codes(rng, n)),
        ("full", np.full(n, -127, np.int8)),
        ("zero", np.zeros(n, np.int8)),
    ):
        cases.append(
            Case(f"rms_scale {n} {name}", "rms_scale", (n,), arrays=(c,), result=(F32(nm.rms_scale(c)),))
        )
    return cases


def row_cases(n: int) -> list[Case]:
    rng = np.random.default_rng(n + 1)
    acc = rng.integers(-(2**31) + 1, 2**31, n).astype(np.int32)  # beyond 2^24: the conversion itself rounds
    c, x, a = codes(rng, n), rng.normal(size=n).astype(F32), rng.normal(size=n).astype(F32)
    s = F32(rng.uniform(1e-3, 1e-1))
    return [
        Case("scale_acc", "scale_acc", (n,), (s,), (acc, garbage(n)), {1: nm.scale_acc(acc, s, F32(1))}),
        Case("add_scaled", "add_scaled", (n,), (s,), (acc, x), {1: x + nm.scale_acc(acc, s, F32(1))}),
        Case("row", "row", (n,), (s,), (c, garbage(n)), {1: c.astype(F32) * s}),
        Case("add_row", "add_row", (n,), (s,), (c, x), {1: x + c.astype(F32) * s}),
        Case("add", "add", (n,), (), (a, x), {1: x + a}),
        Case("relu", "relu", (n,), (), (x,), {0: np.maximum(x, F32(0))}),
    ]


# -- pictures ----------------------------------------------------------------------------------


def picture_cases() -> list[Case]:
    rng, cases, largest = np.random.default_rng(6), [], 127 * 4095
    for cells, channels in ((1, 1), (4, 37), (16, 5), (64, 64)):
        acc = rng.integers(-largest, largest, (cells, channels)).astype(np.int32)
        gain = rng.normal(size=channels).astype(F32)
        for name, a, g in (
            ("random", acc, gain),
            ("negative", -np.abs(acc), gain),
            ("small", acc % 5, gain),
            ("no gain", acc, gain * F32(2.0**-100)),
        ):
            want = nm.quantize(nm.flat(nm.activation(a, "relu") * g))[0]
            case = Case(
                f"gain_quantize {cells}x{channels} {name}",
                "gain_quantize",
                (a.size, channels),
                arrays=(a.ravel(), g, garbage(up(a.size), np.int8)),
                want={2: padded(want)},
            )
            cases.append(case)
    patches = nm.pixels(rng.integers(0, 256, (9, 768)).astype(np.uint8))
    numbers = np.repeat(np.arange(9, dtype=F32), 768).reshape(9, 768)
    for j in (0, 4, 8):
        before = garbage(9 * 768)
        want = np.where(nm.ink(1 - numbers) == j, nm.ink(patches), before)
        cases.append(Case(f"ink {j}", "ink", (j, 3), arrays=(patches[j], before), want={1: want}))
    return cases


# -- attention and memory ----------------------------------------------------------------------


def attend_cases() -> list[Case]:
    rng, cases = np.random.default_rng(7), []
    for heads, shared, width in (
        (1, 1, 64),
        (3, 3, 32),
        (4, 4, 32),
        (6, 6, 32),
        (2, 2, 64),
        (3, 3, 40),
        (2, 2, 128),
        (4, 4, 5),
        (6, 2, 16),
        (4, 1, 32),
        (4, 2, 5),
    ):
        d, kv = heads * width, shared * width
        for n in (1, 5, 64, 1032):
            values = {
                "random": (codes(rng, n, kv), codes(rng, n, kv), scales(rng, n), codes(rng, d), F32(0.02)),
                "sharp": (
                    codes(rng, n, kv),
                    codes(rng, n, kv),
                    scales(rng, n) * F32(40),
                    codes(rng, d),
                    F32(1),
                ),
                "bound": (
                    np.full((n, kv), 127, np.int8),
                    np.full((n, kv), -127, np.int8),
                    np.full(n, 0.01, F32),
                    np.full(d, 127, np.int8),
                    F32(0.5),
                ),
                "no values": (
                    codes(rng, n, kv),
                    np.zeros((n, kv), np.int8),
                    np.zeros(n, F32),
                    codes(rng, d),
                    F32(0.1),
                ),
            }
            for name, (k, v, s, q, q_scale) in values.items():
                v_scale = scales(rng, n) if name == "random" else s
                want = nm.attend(q, q_scale, k, s, v, v_scale, heads)
                room, apart = {"sharp": 1, "bound": 2}.get(name, heads), -(-n // 16) * 16
                cases.append(
                    Case(
                        f"attend {heads}/{shared}x{width}, {n} slots, {name}",
                        "attend",
                        (n, heads, width, shared, room, apart),
                        (q_scale,),
                        (
                            padded(k, 16),
                            padded(v, 16),
                            s,
                            v_scale,
                            padded(q),
                            garbage(apart),
                            garbage(room * apart, np.int32),
                            garbage(d),
                        ),
                        {7: want},
                    )
                )
    return cases


def planes(codes16: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    high = nm.high_bytes(codes16)
    return padded(high), padded((codes16 - high.astype(np.int16) * np.int16(256)).astype(np.int8))


def memory(rng, slots: int, width: int, name: str):
    m = rng.integers(-nm.CODE16_MAX, nm.CODE16_MAX + 1, (slots, width)).astype(np.int16)
    s = (rng.uniform(0.01, 2, slots) / nm.CODE16_MAX).astype(F32)
    if name == "mostly empty":
        s[rng.random(slots) < 0.9] = 0
    if name == "extremes":
        m = np.where(rng.random((slots, width)) < 0.5, nm.CODE16_MAX, -nm.CODE16_MAX).astype(np.int16)
    usage = rng.integers(0, nm.USAGE_ONE + 1, slots).astype(np.uint32)
    return m, s, usage, codes(rng, width)


def memory_cases() -> list[Case]:
    rng, cases = np.random.default_rng(8), []
    for slots in (1, 63, 64, 65, 100, 512):
        for width in (64, 96, 128):
            for name, q_scale in (
                ("random", F32(0.01)),
                ("sharp", F32(8)),
                ("mostly empty", F32(1)),
                ("extremes", F32(2)),
            ):
                m, s, usage, q = memory(rng, slots, width, name)
                high, s256 = nm.high_bytes(m), s * F32(256)
                head = (*planes(m), s, usage, padded(q))
                title = f"{slots}x{width} {name}"
                cases.append(
                    Case(
                        f"memory_read {title}",
                        "memory_read",
                        (slots, width),
                        (q_scale,),
                        (*head, garbage(width)),
                        {5: nm.memory_read(q, q_scale, high, s256)},
                    )
                )
                for rule in ("bounded", "outer"):
                    cases.append(update_case(rng, title, rule, m, s, usage, q, q_scale))
    return cases


def update_case(rng, title, rule, m, s, usage, q, q_scale) -> Case:
    """The C write against golden's own ``write``, with learned scores drawn here."""
    slots, width = m.shape
    cfg = SimpleNamespace(
        write_rate=0.2, write_rule=rule, forget_rate=0.05, forget_below=0.5, memory_slots=slots
    )
    trits, ww_scale = rng.integers(-1, 2, (slots, width)).astype(F32), F32(0.002)
    golden = SimpleNamespace(
        cfg=cfg,
        ops=nm,
        tap=lambda name, array: None,
        query=lambda: (q, q_scale),
        high=lambda: nm.high_bytes(m),
        a={"memory.ww.trits": trits, "memory.ww.scale": ww_scale},
        m_codes=m.copy(),
        m_scales=s.copy(),
        m_usage=usage.copy(),
    )
    GoldenModel.write_rows(golden)
    scores = nm.scale_acc(nm.gemv(trits, q), q_scale, ww_scale)
    high, low = planes(golden.m_codes)
    return Case(
        f"memory_write {title} {rule}",
        "memory_write",
        (slots, width, rule == "outer", forget_threshold(cfg)),
        (q_scale, cfg.write_rate, cfg.forget_rate),
        (*planes(m), s, usage, padded(q), scores, garbage(slots, np.int32), garbage(width)),
        {0: high, 1: low, 2: golden.m_scales, 3: golden.m_usage, 6: nm.address(scores)[0]},
    )


def keyed_memory(rng, slots: int, width: int, name: str):
    """keys, values, scales, usage and a query: some slots empty, with what was in them."""
    keys, values, key = codes(rng, slots, width), codes(rng, slots, width), codes(rng, width)
    s = np.array([nm.rms_scale(row) for row in keys])
    usage = rng.permutation(slots).astype(np.uint32) * (rng.random(slots) < 0.7)
    if name == "empty":
        usage[:] = 0
    if name == "one block":  # and all others empty
        usage[: nm.READ_BLOCK] = 0
    if name == "alike":  # of equals the first
        keys[:], s[:], usage[:] = key, nm.rms_scale(key), np.minimum(usage, 1)
    if name == "full":
        usage[:] = rng.integers(1, 4, slots)
    return keys, values, s, usage.astype(np.uint32), key


def keyed_cases() -> list[Case]:
    rng, cases = np.random.default_rng(11), []
    for slots in (2, 63, 64, 65, 100, 200):
        for width in (64, 96, 128):
            for name in ("random", "empty", "one block", "alike", "full"):
                keys, values, s, usage, key = keyed_memory(rng, slots, width, name)
                scale, head = nm.rms_scale(key), (padded(keys), padded(values), s, usage)
                title, sharp = f"{slots}x{width} {name}", scale * F32(3)
                want = nm.keyed_read(key, sharp, keys, s, values, usage)
                cases.append(
                    Case(
                        f"memory_ask {title}",
                        "memory_ask",
                        (slots, width),
                        (sharp,),
                        (*head, padded(key), garbage(width)),
                        {5: want},
                    )
                )
                cases += [
                    keep_case(title, keys, values, s, usage, key, scale, fixed, match)
                    for fixed in (0, 1)
                    for match in (F32(0.05), F32(0.95))
                ]
    return cases


def keep_case(title, keys, values, s, usage, key, scale, fixed: int, match: np.float32) -> Case:
    value = values[0][::-1].copy()
    slot = nm.keyed_slot(key, scale, keys, s, usage, fixed, match)
    new_keys, new_values, new_scales = keys.copy(), values.copy(), s.copy()
    new_keys[slot], new_values[slot], new_scales[slot] = key, value, scale
    return Case(
        f"memory_keep {title} {fixed} {match}",
        "memory_keep",
        (len(keys), len(key), fixed),
        (scale, match),
        (padded(keys), padded(values), s, usage, padded(key), padded(value)),
        {0: padded(new_keys), 1: padded(new_values), 2: new_scales, 3: nm.keyed_usage(usage, slot, fixed)},
        (int(slot[0]),),
    )


# -- sampler, CRC, self-test -------------------------------------------------------------------


def sampler_cases() -> list[Case]:
    rng, cases = np.random.default_rng(9), []
    for n, top_k, temperature, spread in (
        (1, 1, 0.7, 50),
        (5, 40, 1.0, 50),
        (1009, 40, 0.8, 500),
        (1009, 256, 1.5, 90),
        (5000, 1, 1.0, 500),
        (5000, 40, 0.0, 8),
        (600, 256, 0.9, 3),
    ):
        for seed in (0, 1, 2**64 - 1, 0x123456789ABCDEF):
            acc = rng.normal(0, spread, (25, n)).astype(np.int32)  # a narrow spread makes ties at the cut
            sampler, scale = Sampler(temperature, top_k, seed), F32(0.01)
            picks = np.array([sampler.pick(a, scale) for a in acc], np.int32)
            cases.append(
                Case(
                    f"sampler n={n} k={top_k} t={temperature} seed={seed}",
                    "sampler_picks",
                    (top_k, seed & 0xFFFFFFFF, seed >> 32, n),
                    (temperature, scale),
                    (acc, garbage(25, np.int32)),
                    {1: picks},
                    (sampler.rng.next(),),
                )
            )
    return cases


def crc_cases() -> list[Case]:
    data = np.random.default_rng(10).integers(0, 256, 4099).astype(np.uint8)
    return [
        Case(
            f"crc32 of {n} bytes from {skip}",
            "crc32",
            (start, skip),
            arrays=(data[:n],),
            result=(zlib.crc32(data[skip:n].tobytes(), start),),
        )
        for n in (0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 31, 64, 100, 4099)
        for skip in range(min(n, 8) + 1)
        for start in (0, 0xDEADBEEF)
    ]


SELFTEST = Case("selftest", "selftest", result=(0,))


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    found = [SELFTEST] + scalar_cases() + picture_cases() + attend_cases() + memory_cases() + keyed_cases()
    for n in WIDTHS:
        found += quantizer_cases(n) + row_cases(n)
    return found + sampler_cases() + crc_cases()


def driver(folder: Path, flags, compiler="gcc", family="portable") -> list[str]:
    return compile([*SOURCES, KERNELS / family / "bm_kernels.c"], flags, folder / "driver", compiler)


@pytest.mark.parametrize(
    "compiler, family, opt",
    [
        ("gcc", "portable", "-O0"),
        ("gcc", "portable", "-O2"),
        ("gcc", "avx2", "-O3"),
        ("gcc", "avx512vnni", "-O2"),
        ("zig", "portable", "-O0"),
        ("zig", "avx2", "-O2"),
        ("zig", "avx512vnni", "-O2"),
        ("zig", "portable", "-O3"),
        ("aarch64-gcc", "neon", "-O0"),
        ("aarch64-gcc", "portable", "-O2"),
        ("aarch64-gcc", "neon", "-O3"),
        ("aarch64-zig", "neon", "-O2"),
    ],
)
def test_every_primitive_is_exact(tmp_path, cases, compiler, family, opt):
    command = driver(tmp_path, [opt], compiler, family)
    if family == "avx512vnni" and not has_family(family):
        pytest.skip("this processor lacks avx512_vnni: avx512vnni was compiled, not run")
    check(command, cases)


@pytest.mark.parametrize("family", ["portable", "avx2"])
def test_sanitizers_find_nothing(tmp_path, cases, family):
    check(driver(tmp_path, ["-O1", *SANITIZE], family=family), cases)


def test_small_crc(tmp_path):
    check(driver(tmp_path, ["-O2", "-DBM_CRC32_SMALL"]), crc_cases())


@pytest.mark.parametrize(
    "flags, rule",
    [
        (["-mfma", "-ffp-contract=fast"], "fused"),
        (["-ffast-math"], "denormals are flushed"),
        (
            [
                "-mrecip=all",
                "-ffinite-math-only",
                "-fno-trapping-math",
                "-fno-signed-zeros",
                "-freciprocal-math",
                "-fassociative-math",
            ],
            "division",
        ),
    ],
)
def test_selftest_names_the_rule_a_compiler_broke(tmp_path, flags, rule):
    done = subprocess.run(
        driver(tmp_path, ["-O2", *flags]), input=SELFTEST.to_bytes(), capture_output=True, timeout=60
    )
    assert rule in done.stderr.decode()
