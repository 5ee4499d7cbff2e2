# SPDX-License-Identifier: Apache-2.0
"""The Linux program compiles for processors of 32 bits without a warning, and needs nothing of libatomic."""

import importlib.util
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bitmar_tiny.codegen.boards import load_board
from bitmar_tiny.codegen.build import BASE_FLAGS
from bitmar_tiny.codegen.emit import emit

COMPILE_TIMEOUT_S = 120


@pytest.mark.skipif(not importlib.util.find_spec("ziglang"), reason="no zig: pip install ziglang")
@pytest.mark.parametrize(
    "target",
    [("arm-linux-musleabihf",), ("arm-linux-musleabihf", "-mcpu=arm1176jzf_s"), ("x86-linux-musl",)],
    ids=" ".join,
)
def test_every_source_compiles(tiny, tmp_path, target):
    project = emit(tiny, load_board("host"), tmp_path / "p", "portable", memory="sd")
    cc = [sys.executable, "-m", "ziglang", "cc", "-target", *target, *BASE_FLAGS, f"-I{project.sources}"]

    def compiled(source):
        out = tmp_path / f"{source.stem}.o"
        done = subprocess.run(
            [*cc, "-DBM_TAPS", "-c", str(source), "-o", str(out)],
            capture_output=True,
            text=True,
            timeout=COMPILE_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        return out.read_bytes()

    sources = sorted(project.sources.glob("*.c"))
    with ThreadPoolExecutor(2) as pool:
        objects = dict(zip((s.name for s in sources), pool.map(compiled, sources), strict=False))
    assert len(objects) > 25
    calls = [name for name, data in objects.items() if b"__atomic_" in data]
    assert not calls, "atomic operations that the processor does not have"
