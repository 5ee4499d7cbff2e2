# SPDX-License-Identifier: Apache-2.0
"""Base instructions of the Xtensa core, as far as the kernels and the compiled portable C use them.

Semantics: Xtensa Instruction Set Architecture Reference Manual (RC-2010.1), chapter 6, one entry per
mnemonic. Stages: section 8.4 there; the ALU reads and writes in E, loads give their value in M. ENTRY and
RETW are seen from inside the called function: the window has rotated, arguments are in a2 to a7. Window
overflow is not simulated.
"""

from __future__ import annotations

from .isa import Operation, operation
from .machine import CODE, Machine, signed

BASE: dict[str, Operation] = {}
_MASK = 0xFFFFFFFF


def _alu3(name: str, function) -> None:
    def execute(m: Machine, r: int, s: int, t: int) -> None:
        m.a[r] = function(m.a[s], m.a[t]) & _MASK

    operation(BASE, name, "ar as at", "as1 at1", "ar1")(execute)


for _name, _function in {
    "add add.n": lambda s, t: s + t,
    "sub": lambda s, t: s - t,
    "and": lambda s, t: s & t,
    "or": lambda s, t: s | t,
    "xor": lambda s, t: s ^ t,
    "addx2": lambda s, t: 2 * s + t,
    "addx4": lambda s, t: 4 * s + t,
    "min": lambda s, t: min(signed(s, 32), signed(t, 32)),
    "minu": min,
    "max": lambda s, t: max(signed(s, 32), signed(t, 32)),
}.items():
    _alu3(_name, _function)


def _alu2(names: str, operands: str, function, uses: str = "as1") -> None:
    def execute(m: Machine, r: int, s: int, *immediate: int) -> None:
        m.a[r] = function(m.a[s], *immediate) & _MASK

    operation(BASE, names, operands, uses, "ar1")(execute)


_alu2("mov mov.n", "ar as", lambda s: s)
_alu2("addi addi.n", "ar as [-128..127]", lambda s, i: s + i)
_alu2("addmi", "ar as [-32768..32512/256]", lambda s, i: s + i)
_alu2("slli", "ar as [1..31]", lambda s, i: s << i)
_alu2("srli", "ar as [0..15]", lambda s, i: s >> i)
_alu2("srai", "ar as [0..31]", lambda s, i: signed(s, 32) >> i)
_alu2("sext", "ar as [7..22]", lambda s, i: signed(s, i + 1))
_alu2("extui", "ar as [0..31] [1..16]", lambda s, shift, width: s >> shift & (1 << width) - 1)


@operation(BASE, "neg", "ar at", "at1", "ar1")
def neg(m: Machine, r: int, t: int) -> None:
    m.a[r] = -m.a[t] & _MASK


@operation(BASE, "movi movi.n", "at [-2048..2047]", "", "at1")
def movi(m: Machine, t: int, value: int) -> None:
    m.a[t] = value & _MASK


def _multiply(name: str, function) -> None:
    def execute(m: Machine, r: int, s: int, t: int) -> None:
        m.a[r] = function(m.a[s], m.a[t]) & _MASK

    operation(BASE, name, "ar as at", "as1 at1", "ar2")(execute)


_multiply("mull", lambda s, t: s * t)
_multiply("mul16s", lambda s, t: signed(s, 16) * signed(t, 16))
_multiply("mul16u", lambda s, t: (s & 0xFFFF) * (t & 0xFFFF))


@operation(BASE, "ssai", "[0..31]", "", "SAR1")
def ssai(m: Machine, shift: int) -> None:
    m.sar = shift


@operation(BASE, "src", "ar as at", "as1 at1 SAR1", "ar1")
def src(m: Machine, r: int, s: int, t: int) -> None:
    m.a[r] = (m.a[s] << 32 | m.a[t]) >> m.sar & _MASK


def _load(names: str, size: int, sign: bool) -> None:
    def execute(m: Machine, t: int, s: int, offset: int) -> None:
        value = m.memory.load(m.a[s] + offset & _MASK, size)
        m.a[t] = int.from_bytes(value, "little", signed=sign) & _MASK

    operation(BASE, names, f"at as [0..{255 * size}/{size}]", "as1", "at2")(execute)


def _store(names: str, size: int) -> None:
    def execute(m: Machine, t: int, s: int, offset: int) -> None:
        m.memory.store(m.a[s] + offset & _MASK, (m.a[t] & (1 << 8 * size) - 1).to_bytes(size, "little"))

    operation(BASE, names, f"at as [0..{255 * size}/{size}]", "as1 at1")(execute)


_load("l8ui", 1, False)
_load("l16ui", 2, False)
_load("l16si", 2, True)
_load("l32i l32i.n", 4, False)
_store("s8i", 1)
_store("s16i", 2)
_store("s32i s32i.n", 4)


def _branch(names: str, operands: str, uses: str, test) -> None:
    def execute(m: Machine, *operands: int) -> int | None:
        return operands[-1] if test(m.a, *operands[:-1]) else None

    operation(BASE, names, operands, uses)(execute)


_branch("beq", "as at <-127..128>", "as1 at1", lambda a, s, t: a[s] == a[t])
_branch("bne", "as at <-127..128>", "as1 at1", lambda a, s, t: a[s] != a[t])
_branch("bge", "as at <-127..128>", "as1 at1", lambda a, s, t: signed(a[s], 32) >= signed(a[t], 32))
_branch("bltu", "as at <-127..128>", "as1 at1", lambda a, s, t: a[s] < a[t])
_branch("bgeu", "as at <-127..128>", "as1 at1", lambda a, s, t: a[s] >= a[t])
_branch("bltui", "as [2..256] <-127..128>", "as1", lambda a, s, i: a[s] < i)
_branch("bgeui", "as [2..256] <-127..128>", "as1", lambda a, s, i: a[s] >= i)
_branch("beqi", "as [1..8] <-127..128>", "as1", lambda a, s, i: a[s] == i)
_branch("beqz beqz.n", "as <-2047..2048>", "as1", lambda a, s: a[s] == 0)
_branch("bnez bnez.n", "as <-2047..2048>", "as1", lambda a, s: a[s] != 0)
_branch("j", "<-131071..131072>", "", lambda a: True)


@operation(BASE, "loopgtz", "as <1..256>", "as1")
def loopgtz(m: Machine, s: int, end: int) -> int | None:
    count = signed(m.a[s], 32)
    m.loop = (m.at + 1, end, count - 1 & _MASK)  # also set when the loop is skipped
    return end if count <= 0 else None


@operation(BASE, "entry", "as [16..32760/8]", "as1", "as1")
def entry(m: Machine, s: int, size: int) -> None:
    m.a[s] = m.a[s] - size & _MASK
    m.memory.reserved = range(m.a[s] + size - 16, m.a[s] + size)


@operation(BASE, "ret ret.n retw retw.n", "", "a01")
def ret(m: Machine) -> int:
    return m.a[0] - CODE


@operation(BASE, "call0", "<-524288..524284>", "", "a01")
def call0(m: Machine, target: int) -> int:
    m.a[0] = CODE + m.at + 1
    return target
