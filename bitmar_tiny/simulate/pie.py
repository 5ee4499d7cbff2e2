# SPDX-License-Identifier: Apache-2.0
"""Vector instructions of the ESP32-S3 (PIE), as far as the kernels use them.

Semantics: ESP32-S3 Technical Reference Manual (TRM) 1.8, section 1.8.x per instruction, by the printed
pseudo-code; stages: table 1.7-2. Others have published measurements on a chip for: 128-bit accesses drop the
low address bits; ACCX saturates at 40 bits, EE.SRS gives sat32(ACCX >> shift) (dj-oyu/esp32s3-hw-mcp); lanes
of QACC saturate at -2^19 and 2^19 - 1 and are read by RUR in 32-bit windows. Kernels that run bit-exactly on
chips rely on VSMULAS.S8.QACC.LD.INCP loading the register that it multiplies, and on SRCMB writing the
shifted sums back: their rounding shifts, adds one and shifts again (espressif/esp-dl, tie728; tlack/babytalk,
mmrt).

**Not verified by us on any chip: all of it.** Nor by others, that we know: VMUL.U8 (logical shift, low byte)
and VSMULAS.S16, for which the TRM alone speaks. On the chip bm_pie_probe asks for the write-back, and the
boot self-test compares the kernels with plain arithmetic.
"""

from __future__ import annotations

from struct import pack, unpack

from .isa import Operation, operation
from .machine import Machine, signed

PIE: dict[str, Operation] = {}
_MASK = 0xFFFFFFFF


def _step(m: Machine, s: int, step: int) -> None:
    m.a[s] = m.a[s] + step & _MASK


def _add_to_lanes(m: Machine, bits: int, products: list[int]) -> None:
    top = (1 << bits - 1) - 1
    sums = [lane + product for lane, product in zip(m.lanes(bits), products, strict=True)]
    if max(sums) > top or min(sums) < -top - 1:
        m.flag(f"a lane of QACC saturates at {bits} bits")
        sums = [min(max(v, -top - 1), top) for v in sums]
    m.qacc = sums


def _add_to_accx(m: Machine, qx: int, qy: int) -> None:
    total = m.accx + sum(x * y for x, y in zip(unpack("<16b", m.q[qx]), unpack("<16b", m.q[qy]), strict=True))
    m.accx = min(max(total, -1 << 39), (1 << 39) - 1)
    if m.accx != total:
        m.flag("ACCX saturates at 40 bits")


# Loads: TRM 1.8.88, 1.8.89 (128 bits), 1.8.94, 1.8.98, 1.8.100 (broadcast).


@operation(PIE, "ee.vld.128.ip", "qu as [-2048..2032/16]", "as1", "qu2 as1")
def vld_ip(m: Machine, qu: int, s: int, step: int) -> None:
    m.q[qu] = m.memory.load(m.a[s], 16)
    _step(m, s, step)


@operation(PIE, "ee.vld.128.xp", "qu as ad", "as1 ad1", "qu2 as1")
def vld_xp(m: Machine, qu: int, s: int, d: int) -> None:
    m.q[qu] = m.memory.load(m.a[s], 16)
    _step(m, s, m.a[d])


@operation(PIE, "ee.vldbc.8", "qu as", "as1", "qu2")
def vldbc_8(m: Machine, qu: int, s: int) -> None:
    m.q[qu] = m.memory.load(m.a[s], 1) * 16


@operation(PIE, "ee.vldbc.16", "qu as", "as1", "qu2")
def vldbc_16(m: Machine, qu: int, s: int) -> None:
    m.q[qu] = m.memory.load(m.a[s], 2) * 8


@operation(PIE, "ee.vldbc.32.ip", "qu as [-512..508/4]", "as1", "qu2 as1")
def vldbc_32_ip(m: Machine, qu: int, s: int, step: int) -> None:
    m.q[qu] = m.memory.load(m.a[s], 4) * 4
    _step(m, s, step)


# Lane by lane: TRM 1.8.1, 1.8.122, 1.8.131. A product is shifted right by SAR, its low half is kept.


@operation(PIE, "ee.andq", "qa qx qy", "qx1 qy1", "qa1")
def andq(m: Machine, qa: int, qx: int, qy: int) -> None:
    m.q[qa] = (int.from_bytes(m.q[qx], "little") & int.from_bytes(m.q[qy], "little")).to_bytes(16, "little")


@operation(PIE, "ee.vmul.u8", "qz qx qy", "qx1 qy1 SAR1", "qz2")
def vmul_u8(m: Machine, qz: int, qx: int, qy: int) -> None:
    m.q[qz] = bytes((x * y >> m.sar) & 0xFF for x, y in zip(m.q[qx], m.q[qy], strict=True))


@operation(PIE, "ee.vmul.s16", "qz qx qy", "qx1 qy1 SAR1", "qz2")
def vmul_s16(m: Machine, qz: int, qx: int, qy: int) -> None:
    m.q[qz] = pack(
        "<8H",
        *(
            (x * y >> m.sar) & 0xFFFF
            for x, y in zip(unpack("<8h", m.q[qx]), unpack("<8h", m.q[qy]), strict=True)
        ),
    )


# Into ACCX: TRM 1.8.146 to 1.8.149, 1.8.298, 1.8.58. The product comes first, then the load, so qu may be qx.


@operation(PIE, "ee.zero.accx", "", "", "ACCX1")
def zero_accx(m: Machine) -> None:
    m.accx = 0


@operation(PIE, "ee.vmulas.s8.accx", "qx qy", "qx1 qy1 ACCX2", "ACCX2")
def vmulas_s8_accx(m: Machine, qx: int, qy: int) -> None:
    _add_to_accx(m, qx, qy)


@operation(
    PIE, "ee.vmulas.s8.accx.ld.ip", "qu as [-512..496/16] qx qy", "as1 qx1 qy1 ACCX2", "qu2 as1 ACCX2", size=4
)
def vmulas_s8_accx_ld_ip(m: Machine, qu: int, s: int, step: int, qx: int, qy: int) -> None:
    _add_to_accx(m, qx, qy)
    vld_ip(m, qu, s, step)


@operation(PIE, "ee.vmulas.s8.accx.ld.xp", "qu as ad qx qy", "as1 ad1 qx1 qy1 ACCX2", "qu2 as1 ACCX2", size=4)
def vmulas_s8_accx_ld_xp(m: Machine, qu: int, s: int, d: int, qx: int, qy: int) -> None:
    _add_to_accx(m, qx, qy)
    vld_xp(m, qu, s, d)


@operation(PIE, "ee.srs.accx", "au as [0..0]", "as1 ACCX1", "au1 ACCX1")
def srs_accx(m: Machine, u: int, s: int, _: int) -> None:
    m.accx >>= m.a[s] & 63
    value = min(max(m.accx, -1 << 31), (1 << 31) - 1)
    if value != m.accx:
        m.flag("EE.SRS.ACCX saturates at 32 bits")
    m.a[u] = value & _MASK


# Into QACC: TRM 1.8.300, 1.8.187 to 1.8.190, 1.8.55. qy gives one lane, qx all.


@operation(PIE, "ee.zero.qacc", "", "", "QACC1")
def zero_qacc(m: Machine) -> None:
    m.qacc, m.qacc_bits = [0] * 16, 20


@operation(PIE, "ee.vsmulas.s8.qacc", "qx qy [0..15]", "qx1 qy1 QACC2", "QACC2")
def vsmulas_s8_qacc(m: Machine, qx: int, qy: int, lane: int) -> None:
    factor = signed(m.q[qy][lane], 8)
    _add_to_lanes(m, 20, [x * factor for x in unpack("<16b", m.q[qx])])


@operation(
    PIE, "ee.vsmulas.s8.qacc.ld.incp", "qu as qx qy [0..15]", "as1 qx1 qy1 QACC2", "qu2 as1 QACC2", size=4
)
def vsmulas_s8_qacc_ld_incp(m: Machine, qu: int, s: int, qx: int, qy: int, lane: int) -> None:
    vsmulas_s8_qacc(m, qx, qy, lane)
    vld_ip(m, qu, s, 16)


@operation(PIE, "ee.vsmulas.s16.qacc", "qx qy [0..7]", "qx1 qy1 QACC2", "QACC2")
def vsmulas_s16_qacc(m: Machine, qx: int, qy: int, lane: int) -> None:
    factor = unpack("<8h", m.q[qy])[lane]
    _add_to_lanes(m, 40, [x * factor for x in unpack("<8h", m.q[qx])])


@operation(PIE, "ee.srcmb.s8.qacc", "qu as [0..0]", "as1 QACC1", "qu1 QACC1")
def srcmb_s8_qacc(m: Machine, qu: int, s: int, _: int) -> None:
    m.qacc = [lane >> (m.a[s] & 31) for lane in m.lanes(20)]
    m.q[qu] = pack("<16b", *(min(max(lane, -128), 127) for lane in m.qacc))


# State registers by words: TRM 1.6.10.


def _rur_qacc(half: int, word: int) -> None:
    def execute(m: Machine, r: int) -> None:
        lanes = m.lanes(m.qacc_bits)
        per_half = len(lanes) // 2
        mask = (1 << m.qacc_bits) - 1
        raw = sum(
            (v & mask) << m.qacc_bits * i
            for i, v in enumerate(lanes[half * per_half : (half + 1) * per_half])
        )
        m.a[r] = raw >> 32 * word & _MASK

    operation(PIE, f"rur.qacc_{'lh'[half]}_{word}", "ar", "QACC1", "ar1")(execute)


for _half in range(2):
    for _word in range(5):
        _rur_qacc(_half, _word)


@operation(PIE, "wur.accx_0", "at", "at1", "ACCX1")
def wur_accx_0(m: Machine, t: int) -> None:
    m.accx = m.accx >> 32 << 32 | m.a[t]


@operation(PIE, "wur.accx_1", "at", "at1", "ACCX1")
def wur_accx_1(m: Machine, t: int) -> None:
    m.accx = signed(m.a[t], 8) << 32 | m.accx & _MASK
