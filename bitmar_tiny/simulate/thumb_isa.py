# SPDX-License-Identifier: Apache-2.0
"""The instructions of ``thumb``, an encoding each (DDI 0419, A5.2): d, n, m are registers, i a number."""

from __future__ import annotations

from .machine import signed
from .memory import Trap
from .thumb import LR, M32, PC, SP, Core, encoded, shifted


@encoded("00000 iiiii mmmddd")
@encoded("00001 iiiii mmmddd")
@encoded("00010 iiiii mmmddd")
def shift_immediate(m: Core, h: int) -> int:
    kind, by = h >> 11 & 3, h >> 6 & 31
    m.r[h & 7] = m.set_nz(shifted(m, kind, m.r[h >> 3 & 7], by or (32 if kind else 0)))
    return 1


@encoded("0001100 mmmnnnddd")
@encoded("0001101 mmmnnnddd")
@encoded("0001110 iiinnnddd")
@encoded("0001111 iiinnnddd")
def add_sub_three(m: Core, h: int) -> int:
    other = h >> 6 & 7 if h >> 10 & 1 else m.r[h >> 6 & 7]
    m.r[h & 7] = m.add(m.r[h >> 3 & 7], other ^ (M32 if h >> 9 & 1 else 0), h >> 9 & 1)
    return 1


@encoded("001 oo dddiiiiiiii")
def immediate(m: Core, h: int) -> int:
    what, d, i = h >> 11 & 3, h >> 8 & 7, h & 255
    if what == 0:  # movs
        m.r[d] = m.set_nz(i)
    elif what == 1:  # cmp
        m.add(m.r[d], i ^ M32, 1)
    else:
        m.r[d] = m.add(m.r[d], i ^ (M32 if what == 3 else 0), what == 3)
    return 1


#: Operations on two registers that set n and z alone.
LOGIC = {
    0: int.__and__,
    1: int.__xor__,
    8: int.__and__,
    12: int.__or__,
    13: int.__mul__,
    14: lambda x, y: x & ~y,
    15: lambda _, y: ~y,
}


@encoded("010000 oooo mmmddd")
def data(m: Core, h: int) -> int:
    what, d, x, y = h >> 6 & 15, h & 7, m.r[h & 7], m.r[h >> 3 & 7]
    if what in LOGIC:
        result = m.set_nz(LOGIC[what](x, y))
    elif what in (2, 3, 4):
        result = m.set_nz(shifted(m, what - 2, x, min(y & 255, 33 if what < 4 else 32)))
    elif what in (5, 6):  # adcs, sbcs
        result = m.add(x, y ^ (M32 if what == 6 else 0), m.c)
    elif what in (9, 10, 11):  # rsbs (0 - y), cmp, cmn
        result = m.add(0 if what == 9 else x, y if what == 11 else y ^ M32, what != 11)
    else:
        raise Trap("a rotation is not known here.")
    if what not in (8, 10, 11):  # tst, cmp and cmn keep none
        m.r[d] = result
    return 1


@encoded("01000111 o mmmm 000")
def exchange(m: Core, h: int) -> int:
    target = m.value(h >> 3 & 15)
    if h >> 7 & 1:  # blx
        m.r[LR] = m.r[PC] | 1
    m.branch(target)
    return 2


@encoded("01000100 d mmmm ddd")
@encoded("01000101 d mmmm ddd")
@encoded("01000110 d mmmm ddd")
def high_registers(m: Core, h: int) -> int:
    what, d = h >> 8 & 3, h & 7 | h >> 4 & 8
    y = m.value(h >> 3 & 15)
    if what == 1:
        m.add(m.value(d), y ^ M32, 1)
        return 1
    result = y if what == 2 else m.value(d) + y & M32
    if d == PC:
        m.branch(result)
        return 2
    m.r[d] = result
    return 1


@encoded("01001 dddiiiiiiii")
def load_literal(m: Core, h: int) -> int:
    m.r[h >> 8 & 7] = m.load((m.value(PC) & ~3) + 4 * (h & 255), 4)
    return 2


#: Of the eight forms with two registers: bytes, whether it loads, whether with the sign.
FORMS = ((4, 0, 0), (2, 0, 0), (1, 0, 0), (1, 1, 1), (4, 1, 0), (2, 1, 0), (1, 1, 0), (2, 1, 1))


@encoded("0101 ooo mmmnnnddd")
def access_register(m: Core, h: int) -> int:
    size, loads, sign = FORMS[h >> 9 & 7]
    return access(m, h & 7, m.r[h >> 3 & 7] + m.r[h >> 6 & 7], size, loads, sign)


@encoded("011 b l iiiiinnnddd")
def access_immediate(m: Core, h: int) -> int:
    size = 1 if h >> 12 & 1 else 4
    return access(m, h & 7, m.r[h >> 3 & 7] + size * (h >> 6 & 31), size, h >> 11 & 1)


@encoded("1000 l iiiiinnnddd")
def access_half(m: Core, h: int) -> int:
    return access(m, h & 7, m.r[h >> 3 & 7] + 2 * (h >> 6 & 31), 2, h >> 11 & 1)


@encoded("1001 l dddiiiiiiii")
def access_stack(m: Core, h: int) -> int:
    return access(m, h >> 8 & 7, m.r[SP] + 4 * (h & 255), 4, h >> 11 & 1)


def access(m: Core, d: int, address: int, size: int, loads: int, sign: int = 0) -> int:
    if loads:
        m.r[d] = m.load(address, size, bool(sign))
    else:
        m.store(address, size, m.r[d])
    return 2


@encoded("1010 s dddiiiiiiii")
def address_of(m: Core, h: int) -> int:
    m.r[h >> 8 & 7] = (m.r[SP] if h >> 11 & 1 else m.value(PC) & ~3) + 4 * (h & 255) & M32
    return 1


@encoded("10110000 o iiiiiii")
def move_stack(m: Core, h: int) -> int:
    m.r[SP] += (-4 if h >> 7 & 1 else 4) * (h & 127)
    return 1


@encoded("10110010 oo mmmddd")
def extend(m: Core, h: int) -> int:
    bits, y = (16, 8)[h >> 6 & 1], m.r[h >> 3 & 7]
    low = y & (1 << bits) - 1
    m.r[h & 7] = low if h >> 7 & 1 else signed(low, bits) & M32
    return 1


@encoded("1011010 m llllllll")
def push(m: Core, h: int) -> int:
    registers = [i for i in range(8) if h >> i & 1] + [LR] * (h >> 8 & 1)
    m.r[SP] -= 4 * len(registers)
    for i, register in enumerate(registers):
        m.store(m.r[SP] + 4 * i, 4, m.r[register])
    return 1 + len(registers)


@encoded("1011110 p llllllll")
def pop(m: Core, h: int) -> int:
    registers = [i for i in range(8) if h >> i & 1]
    for register in registers:
        m.r[register] = m.load(m.r[SP], 4)
        m.r[SP] += 4
    if not h >> 8 & 1:
        return 1 + len(registers)
    m.branch(m.load(m.r[SP], 4))
    m.r[SP] += 4
    return 3 + len(registers) + 1


@encoded("10111111 0000 0000")
def nop(m: Core, h: int) -> int:
    return 1


@encoded("1100 l nnnllllllll")
def multiple(m: Core, h: int) -> int:
    n, registers = h >> 8 & 7, [i for i in range(8) if h >> i & 1]
    address = m.r[n]
    for i, register in enumerate(registers):
        if h >> 11 & 1:
            m.r[register] = m.load(address + 4 * i, 4)
        else:
            m.store(address + 4 * i, 4, m.r[register])
    if not (h >> 11 & 1 and n in registers):
        m.r[n] = address + 4 * len(registers) & M32
    return 1 + len(registers)


@encoded("11100 iiiiiiiiiii")
def branch(m: Core, h: int) -> int:
    m.branch(m.value(PC) + 2 * signed(h & 2047, 11))
    return 2


@encoded("1101 cccc iiiiiiii")
def branch_if(m: Core, h: int) -> int:
    condition = h >> 8 & 15
    if condition >= 14:
        raise Trap("an undefined instruction or a call of the supervisor.")
    greater = m.n == m.v
    holds = (m.z, m.c, m.n, m.v, m.c and not m.z, greater, greater and not m.z)[condition >> 1]
    if bool(holds) == bool(condition & 1):
        return 1
    m.branch(m.value(PC) + 2 * signed(h & 255, 8))
    return 2


@encoded("11110 iiiiiiiiiii")
def branch_link(m: Core, h: int) -> int:
    """With its second half: 32 bits."""
    second = m.load(m.r[PC], 2)
    if second & 0xD000 != 0xD000:
        raise Trap("32 bits that are no bl.")
    sign = h >> 10 & 1
    top = (~(second >> 13 ^ sign) & 1) << 1 | ~(second >> 11 ^ sign) & 1
    offset = sign << 24 | top << 22 | (h & 1023) << 12 | (second & 2047) << 1
    m.r[LR] = m.r[PC] + 2 | 1
    m.branch(m.r[PC] + 2 + signed(offset, 25))
    return 3
