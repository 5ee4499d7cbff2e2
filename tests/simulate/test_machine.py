# SPDX-License-Identifier: Apache-2.0
"""The simulator itself: every trap, the assembler against GNU as, saturation against the twin, and the cycle
model.
"""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from simulate.pie_support import Case, ask, build_twin

from bitmar_tiny.codegen.resources import resource_dir
from bitmar_tiny.simulate import Trap, simulate_five, simulate_gemv
from bitmar_tiny.simulate.assembler import statements
from bitmar_tiny.simulate.decode import assemble
from bitmar_tiny.simulate.isa import AssemblyError
from bitmar_tiny.simulate.kernels import ATTEND, FIVE, GEMV
from bitmar_tiny.simulate.machine import Machine
from bitmar_tiny.simulate.memory import Memory
from bitmar_tiny.simulate.pie import PIE
from bitmar_tiny.simulate.xtensa import BASE

KERNELS = resource_dir("firmware_templates") / "kernels" / "pie"


def program(body: str):
    return assemble(f"f: entry a1, 32\n{body}\n retw.n\n", BASE | PIE, "test.S")


def run(body: str, *arguments: int, memory: Memory | None = None) -> Machine:
    machine = Machine(memory or Memory())
    machine.prepare(arguments)
    machine.run(program(body), "f")
    return machine


def buffer(skew: int = 0, writable: bool = False) -> tuple[Memory, int]:
    memory = Memory()
    return memory, memory.add("data", bytes(range(64)), writable, skew)


@pytest.mark.parametrize(
    "body, says",
    [
        ("ee.vld.128.ip q0, a2, 16\n" * 5, "test.S:6: ee.vld.128.ip q0, a2, 16: the 128-bit load .* outside"),
        ("addi a2, a2, 8\n ee.vld.128.ip q0, a2, 16", "test.S:3: .* the 128-bit load from .* is misaligned"),
        ("addi a2, a2, 2\n l32i a3, a2, 0", "the 32-bit load from .* is misaligned"),
        ("addi a2, a2, -16\n l8ui a3, a2, 0", "outside declared memory"),
        ("movi a3, 0\n s32i a3, a2, 0", "changes the read-only region 'data'"),
        ("movi a3, 0\n s32i a3, a1, 16", "top of the frame"),
        ("mov a3, a9", "test.S:2: mov a3, a9: a9 is read before it is written"),
        ("ee.andq q0, q1, q1", "q1 is read before"),
        ("ee.vld.128.ip q0, a2, 16\n ee.vmulas.s8.accx q0, q0", "ACCX is read before"),
        ("ee.vld.128.ip q0, a2, 16\n ee.vsmulas.s8.qacc q0, q0, 0", "QACC is read before"),
        ("ee.vld.128.ip q0, a2, 16\n ee.vmul.u8 q0, q0, q0", "SAR is read before"),
        ("1: j 1b", "more than"),
    ],
)
def test_traps(body, says):
    memory, address = buffer()
    machine = Machine(memory)
    machine.prepare((address,))
    with pytest.raises(Trap, match=says):
        machine.run(program(body), "f", limit=1000)


def test_a_misaligned_matrix_traps_where_a_chip_would_read_other_bytes():
    trits, x = np.ones((16, 64), np.int8), np.ones(64, np.int8)
    text = (
        (KERNELS / GEMV)
        .read_text()
        .replace("    mov     a11, a2\n    ee.vld", "    addi    a11, a2, 4\n    ee.vld")
    )
    with pytest.raises(Trap, match="misaligned"):
        simulate_gemv(trits, x, program=assemble(text, BASE | PIE, GEMV, folder=KERNELS))


def test_misaligned_vectors_of_five_in_a_byte_trap():
    text = (KERNELS / FIVE).read_text().replace("    mov     a13, a3\n", "    addi    a13, a3, 4\n")
    program = assemble(text, BASE | PIE, FIVE, folder=KERNELS)
    with pytest.raises(Trap, match="misaligned"):
        simulate_five(np.ones((16, 64), np.int8), np.ones(64, np.int8), program=program)


@pytest.mark.parametrize(
    "body, says",
    [
        ("ee.vmax.s8 q0, q1, q2", "test.S:2: unknown instruction 'ee.vmax.s8'"),
        ("add a2, a3", "takes 3 operands"),
        ("add a2, a3, q0", "'q0' is no register of this kind"),
        ("mov a16, a2", "'a16' is no register"),
        ("movi a2, 2048", "2048 is not in -2048..2047"),
        ("ee.vld.128.ip q0, a2, 8", "8 is not in -2048..2032 in steps of 16"),
        ("ee.vsmulas.s8.qacc q0, q1, 16", "16 is not in 0..15"),
        ("j nowhere", "there is no label 'nowhere'"),
        ("loopgtz a2, 1f\n" + "add a2, a2, a2\n" * 90 + "1:", "270 is not in 1..256"),
        ("beq a2, a2, 1f\n" + "add a2, a2, a2\n" * 50 + "1:", "is not in -127..128"),
        (".macro M x\n mov a2, \\x\n .endm\n M a3, a4", "M takes 1 arguments"),
        (".macro M x\n mov a2, \\x", ".endm is missing"),
        (".if 1\n mov a2, a3", ".endif is missing"),
        (".else", ".else without .if"),
        ("g:\ng:", "label 'g' is defined twice"),
        ("movi a2, 1 << 2", "is no constant"),
    ],
)
def test_assembly_errors(body, says):
    with pytest.raises(AssemblyError, match=says):
        program(body)


def test_an_unknown_function_is_an_error():
    with pytest.raises(AssemblyError, match="no function 'g'"):
        Machine(Memory()).run(program("movi a2, 1"), "g")


@pytest.mark.parametrize("name", (GEMV, FIVE, ATTEND))
def test_macros_expand_as_gnu_as_expands_them(tmp_path, name):
    """Every mnemonic becomes a macro of GNU as that writes its own text into .text: the processor does not
    matter.
    """
    tools = [shutil.which(tool) for tool in ("gcc", "as", "objcopy")]
    if not all(tools):
        pytest.skip("needs gcc, as and objcopy (apt-get install gcc)")
    plain = subprocess.run(
        [tools[0], "-E", "-P", "-x", "assembler-with-cpp", str(KERNELS / name)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ours = [
        text
        for _, text in statements((KERNELS / name).read_text(), name, KERNELS)
        if text[0] != "." and text[-1] != ":"
    ]
    names = sorted({text.split()[0] for text in ours})
    stubs = [f'.macro {name} all:vararg\n.ascii "{name} \\all\\n"\n.endm' for name in names]
    lines = [line for line in plain.splitlines() if ".align" not in line]
    (tmp_path / "all.s").write_text("\n".join([*stubs, *lines, ""]))
    subprocess.run([tools[1], "-o", tmp_path / "all.o", tmp_path / "all.s"], check=True)
    subprocess.run(
        [tools[2], "-O", "binary", "-j", ".text", tmp_path / "all.o", tmp_path / "all.txt"], check=True
    )
    theirs = (tmp_path / "all.txt").read_text().splitlines()
    assert ["".join(t.split()) for t in ours] == ["".join(t.split()) for t in theirs]


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    return build_twin(tmp_path_factory.mktemp("twin"))


@pytest.mark.parametrize(
    "high, low, saturates",
    [
        (0, 0, False),
        (0xFF, 0xFFFFFF00, False),
        (0x7F, 0xFFF00000, False),
        (0x7F, 0xFFFFFFFF, True),
        (0x7F, 0xFFFF0000, True),
        (0x80, 0, True),
    ],
)
def test_accx_has_40_bits_and_saturates(twin, high, low, saturates):
    rng = np.random.default_rng(high)
    for sign in (1, -1):
        a = np.full(48, 127, np.int8) if saturates else rng.integers(-127, 128, 48).astype(np.int8)
        b = np.full(48, 127 * sign, np.int8)
        first, second, _ = ask(twin, Case("accx", "accx", (low, high, 3), arrays=(a, b)))
        memory = Memory()
        machine = run(
            "wur.accx_0 a2\n wur.accx_1 a3\n movi a6, 3\n loopgtz a6, 1f\n ee.vld.128.ip q0, a4, 16\n"
            "ee.vld.128.ip q1, a5, 16\n ee.vmulas.s8.accx q0, q1\n1:",
            low,
            high,
            memory.add("a", a.tobytes()),
            memory.add("b", b.tobytes()),
            memory=memory,
        )
        assert machine.accx & (1 << 40) - 1 == second << 32 | first
        assert bool(machine.flags) == (saturates and (high < 0x80) == (sign > 0))


def test_shifted_reading_of_accx_writes_back_and_saturates():
    machine = run("wur.accx_0 a2\n wur.accx_1 a3\n movi a4, 4\n ee.srs.accx a5, a4, 0", 0x100, 0xFF)
    assert machine.accx == (0x100 - (1 << 32)) >> 4 and machine.flags == []
    machine = run("wur.accx_0 a2\n wur.accx_1 a3\n movi a4, 0\n ee.srs.accx a2, a4, 0", 5, 1)
    assert machine.a[2] == 0x7FFFFFFF and "saturates at 32 bits" in machine.flags[0]


@pytest.mark.parametrize("trit", (1, -1))
def test_a_chunk_beyond_its_bound_is_flagged(trit):
    """Eight blocks of 64 k are what 20 bits hold; with nine the kernel's proof fails, and the simulator says
    so.
    """
    text = (KERNELS / GEMV).read_text().replace("movi    a10, 8", "movi    a10, 9")
    nine = assemble(text, BASE | PIE, GEMV, folder=KERNELS)
    trits, x = np.full((16, 576), trit, np.int8), np.full(576, 127, np.int8)
    result = simulate_gemv(trits, x, program=nine)
    assert bool(result.flags) == (trit == 1) and simulate_gemv(trits, x).flags == ()
    if trit == 1:
        assert "a lane of QACC saturates at 20 bits" in result.flags[0]


@pytest.mark.parametrize(
    "body, cycles",
    [
        ("add a3, a2, a2\n add a3, a3, a3", 2),  # an ALU result is ready at once
        ("ee.vld.128.ip q0, a2, 16\n ee.andq q1, q0, q0", 3),  # a load is not
        ("ee.vld.128.ip q0, a2, 16\n movi a4, 0\n ee.andq q1, q0, q0", 3),
        ("l32i a3, a2, 0\n add a3, a3, a3", 3),
        (
            "ee.zero.accx\n ee.vld.128.ip q0, a2, 16\n movi a4, 0\n ee.vmulas.s8.accx q0, q0\n "
            "ee.vmulas.s8.accx q0, q0",
            5,
        ),
        (
            "ee.zero.accx\n ee.vld.128.ip q0, a2, 16\n movi a4, 0\n ee.vmulas.s8.accx q0, q0\n ee.srs.accx "
            "a3, a4, 0",
            6,
        ),
        ("j 1f\n1:", 3),  # a taken branch: two more
        ("bnez a2, 1f\n1:", 3),
        ("beqz a2, 1f\n1:", 1),
        ("movi a3, 10\n loopgtz a3, 1f\n add a2, a2, a2\n1:", 12),  # a loop: none
        ("movi a3, 0\n loopgtz a3, 1f\n add a2, a2, a2\n1:", 4),
    ],
)
def test_cycle_model(body, cycles):
    memory, address = buffer()
    empty = run("").pipeline.cycles
    assert run(body, address, memory=memory).pipeline.cycles - empty == cycles


def test_loops_and_windows_of_qacc():
    rng = np.random.default_rng(6)
    memory = Memory()
    values = rng.integers(-128, 128, 32).astype(np.int8)
    words = "\n".join(f"rur.qacc_{'lh'[i // 5]}_{i % 5} a4\n s32i a4, a3, {4 * i}" for i in range(10))
    out = memory.add("out", bytes(40), writable=True)
    run(
        "ee.vld.128.ip q0, a2, 16\n ee.vld.128.ip q1, a2, 16\n ee.zero.qacc\n ee.vsmulas.s8.qacc q0, q1, "
        f"5\n{words}",
        memory.add("in", values.tobytes()),
        out,
        memory=memory,
    )
    raw = int.from_bytes(memory.data("out"), "little")
    lanes = [(raw >> 20 * i & 0xFFFFF ^ 0x80000) - 0x80000 for i in range(16)]
    assert lanes == [int(v) * int(values[21]) for v in values[:16]]
