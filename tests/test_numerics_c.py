"""The C primitives against numerics.py, bit for bit, at every optimisation level."""

from __future__ import annotations

import ctypes
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from bitmar_tiny.golden import numerics as nm
from bitmar_tiny.golden.sampler import Sampler
from codegen.build import BASE_FLAGS
from codegen.resources import resource_dir
from support import need

F32 = np.float32


class Q8(ctypes.Structure):
    _fields_ = [("scale", ctypes.c_float), ("sum", ctypes.c_int32)]


class CSampler(ctypes.Structure):
    _fields_ = [("temperature", ctypes.c_float), ("top_k", ctypes.c_uint32), ("state", ctypes.c_uint64),
                ("best", ctypes.c_uint32 * 256)]


@pytest.fixture(scope="module", params=["-O0", "-O2", "-O3"])
def lib(request, tmp_path_factory):
    need("host", "gcc")
    templates = resource_dir("firmware_templates")
    sources = [templates / "runtime" / f"bm_{n}.c" for n in ("numerics", "attention", "memory", "crc32", "sampler", "selftest")]
    sources += [templates / "kernels" / "bm_kernels__portable.c", Path(__file__).parent / "firmware" / "numerics_driver.c"]
    out = tmp_path_factory.mktemp("numerics") / "lib.so"
    subprocess.run(["gcc", *BASE_FLAGS, request.param, "-shared", "-fPIC", "-DBM_KERNELS=portable",
                    f"-I{templates / 'runtime'}", *map(str, sources), "-o", str(out)], check=True)
    handle = ctypes.CDLL(str(out))
    for name in ("bm_quantize", "bm_norm_quantize", "bm_act_quantize"):
        getattr(handle, name).restype = Q8
    handle.bm_selftest.restype = ctypes.c_char_p
    handle.bm_crc32.restype = ctypes.c_uint32
    return handle


def ptr(a: np.ndarray):
    assert a.flags.c_contiguous
    return a.ctypes.data_as(ctypes.c_void_p)


def same_bits(a, b):
    a, b = np.asarray(a, F32), np.asarray(b, F32)
    assert np.array_equal(a.view(np.uint32), b.view(np.uint32))


def elementwise(lib, name, x, dtype=F32):
    y = np.zeros(len(x), dtype)
    getattr(lib, name)(ptr(x), len(x), ptr(y))
    return y


def test_selftest_passes(lib):
    assert lib.bm_selftest() is None


def test_exp_neg(lib):
    x = np.concatenate([-np.linspace(0, 100, 500_000), -np.geomspace(1e-9, 90, 500_000)]).astype(F32)
    same_bits(elementwise(lib, "all_exp_neg", x), nm.exp_neg(x))


def test_sqrt_is_correctly_rounded(lib):
    rng = np.random.default_rng(0)
    x = np.concatenate([np.arange(0x3F800000, 0x40800000, 37, dtype=np.uint32).view(F32),      # two binades
                        rng.integers(0x00800000, 0x7F7FFFFF, 300_000, dtype=np.uint32).view(F32),
                        np.arange(1, 100_000, dtype=F32), np.zeros(1, F32)])
    same_bits(elementwise(lib, "all_sqrt", x), np.sqrt(x))


def test_rne(lib):
    rng = np.random.default_rng(1)
    x = np.concatenate([np.arange(-1000, 1000) + 0.5, rng.uniform(-2**21, 2**21, 100_000)]).astype(F32)
    assert np.array_equal(elementwise(lib, "all_rne", x, np.int32), nm.rne(x))


EDGES = [np.zeros(5), np.full(7, 1e-30), np.ones(64), -np.ones(65), np.array([1e18, 1, 0, -1]), np.array([1.0, 0.5 / 127, 1.5 / 127]),
         np.full(3, 2.0**-60), np.array([np.nextafter(F32(2.0**-60), F32(0))])]


@pytest.mark.parametrize("case", range(len(EDGES) + 40))
def test_quantisers(lib, case):
    rng = np.random.default_rng(case)
    n = [4, 96, 128, 512, 768][case % 5]
    v = EDGES[case].astype(F32) if case < len(EDGES) else (rng.normal(size=n) * 10.0 ** rng.uniform(-6, 6)).astype(F32)
    gain = rng.uniform(-2, 2, len(v)).astype(F32)
    acc = rng.integers(-127 * 512, 127 * 512, len(v)).astype(np.int32)
    codes = np.full(-(-len(v) // 64) * 64, 99, np.int8)
    for call, want in (
        (lambda: lib.bm_quantize(ptr(v), len(v), ptr(codes)), nm.quantize(v)),
        (lambda: lib.bm_norm_quantize(ptr(v), ptr(gain), len(v), ptr(codes)), nm.norm_quantize(v, gain)),
        (lambda: lib.bm_act_quantize(ptr(acc), 1, len(v), ptr(codes)), nm.norm_quantize(nm.activation(acc, "relu2"))),
        (lambda: lib.bm_act_quantize(ptr(acc), 0, len(v), ptr(codes)), nm.norm_quantize(nm.activation(acc, "relu"))),
    ):
        codes[:] = 99
        got = call()
        assert np.array_equal(codes[:len(v)], want[0]) and not codes[len(v):].any()
        same_bits(got.scale, want[1])
        assert got.sum == want[0].astype(int).sum()


def test_sampler_picks_the_same_tokens(lib):
    rng = np.random.default_rng(3)
    for temperature, top_k in ((0.0, 1), (0.7, 5), (1.0, 256), (3.0, 40)):
        c, python = CSampler(), Sampler(temperature, top_k, seed=9)
        lib.bm_sampler_init(ctypes.byref(c), ctypes.c_float(temperature), top_k, ctypes.c_uint64(9))
        for n in (3, 300, 5000):
            acc = rng.integers(-3000, 3000, n).astype(np.int32)
            for _ in range(20):
                want = python.pick(acc, F32(0.002))
                assert lib.bm_sampler_pick(ctypes.byref(c), ptr(acc), n, ctypes.c_float(0.002)) == want


def test_crc32_is_zlibs(lib):
    data = np.random.default_rng(4).integers(0, 256, 1000).astype(np.uint8)
    assert lib.bm_crc32(0, ptr(data), 1000) == zlib.crc32(data.tobytes())
    assert lib.bm_crc32(zlib.crc32(b"before"), ptr(data), 1000) == zlib.crc32(b"before" + data.tobytes())
