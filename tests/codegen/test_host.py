# SPDX-License-Identifier: Apache-2.0
"""``host`` is this computer, on every machine that has a profile."""

import platform

import pytest

from bitmar_tiny.codegen import host
from bitmar_tiny.codegen.boards import board_files, load_board
from bitmar_tiny.codegen.emit import emit
from bitmar_tiny.errors import ConfigError

X86, ARM = ["avx512vnni", "avxvnni", "avx2", "portable"], ["neondot", "neon", "portable"]
#: machine, what /proc/cpuinfo lists, kernel families as load_board gives them.
PROCESSORS = [
    ("x86_64", "fpu avx2 avx512f avx512_vnni", ["avx512vnni", "avx2", "portable", "avxvnni"]),
    ("x86_64", "fpu avx2 avx_vnni", ["avxvnni", "avx2", "portable", "avx512vnni"]),
    ("x86_64", "fpu avx2", ["avx2", "portable", "avx512vnni", "avxvnni"]),
    ("x86_64", "fpu sse2", ["portable", "avx512vnni", "avxvnni", "avx2"]),
    ("aarch64", "fp asimd asimddp", ARM),
    ("aarch64", "fp asimd", ["neon", "portable", "neondot"]),
]


@pytest.mark.parametrize("machine, features, kernels", PROCESSORS)
def test_the_profile_of_this_machine(tiny, tmp_path, monkeypatch, machine, features, kernels):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(host, "processor_features", lambda: frozenset(features.split()))
    board = load_board("host")
    assert (board.name, board.machine, board.kernels) == ("host", machine, kernels)
    assert set(kernels) == set(X86 if machine == "x86_64" else ARM)
    for family in kernels:  # every family of the machine, whether this processor has it or not
        assert emit(tiny, board, tmp_path / family, family).family == family
        for compiler in board.compilers:
            assert bool(board.family_flags(family, compiler)) == (family not in ("portable", "neon"))


@pytest.mark.parametrize("system, machine", [("Darwin", "arm64"), ("Linux", "riscv64")])
def test_on_another_computer_there_is_one_sentence(monkeypatch, system, machine):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert "host" not in board_files() and "rpi-5" in board_files()
    with pytest.raises(ConfigError, match=f"this computer is {system} on {machine}"):
        load_board("host")


def test_features_are_read_on_either_machine(monkeypatch, tmp_path):
    for text in ("processor : 0\nflags\t\t: fpu avx2\n", "processor : 0\nFeatures\t: fpu avx2\n"):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(host, "Path", lambda _: tmp_path / "cpuinfo")
        host.processor_features.cache_clear()
        try:
            assert host.processor_features() == {"fpu", "avx2"}
        finally:
            host.processor_features.cache_clear()
