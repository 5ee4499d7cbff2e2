/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `pie`: ternary products with five weights in a byte (1.6 bit), see bm_pie_gemv.S for what is the same.
 *
 * Layout (codegen/pack.py, pack5): tiles of 16 rows; byte 16 s + r of a tile holds the codes of row r, k = 5 s .. 5 s + 4,
 * as the digits of a fraction in base 3, the first k first:
 *
 *     byte = ceil(256 (c0 / 3 + c1 / 9 + c2 / 27 + c3 / 81 + c4 / 243)),   c = w + 1 in {0, 1, 2}
 *
 * Rows are lanes. Three times a byte is ten bits: the upper two are the next digit, EE.VMUL.U8 with SAR = 8, and the lower
 * eight are the fraction that is left, the same with SAR = 0. Nine times a byte goes two digits further. Rounding up
 * errs by less than 1 / 256, and after five digits by less than 243 / 256: no digit is wrong.
 *
 * Fifteen of the 16 bytes of a vector of x are the k of three steps (bm_t5_table in bm_kernels.c). If the steps are no
 * multiple of three, the last vector's lie at its end.
 *
 * Bound of a lane: 2 * 127 * k <= 2^19 - 1, where EE.VSMULAS would saturate, for k <= 2064. The caller sees to it.
 * A step is 16 instructions for 80 weights. Nothing is read beyond the last tile.
 */
#include "bm_pie_rows.h"
    .text

/* void bm_pie_five(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t vectors, int32_t *y);
 *
 * vectors: 4 times those of x, at least one, and the steps that the last one has, 1 to 3.
 * The loop keeps:
 *   a2 weights     a5 tiles left             a7 y                            q0 a step's bytes, and digits   q6 nines
 *   a3 x           a6 vectors of x, less 1   a9 steps of the last, 1 to 3    q1..q4 what is left, digits     q7 threes
 *   a4 -sum of x                             a13 x                           q5 x */

    .macro  STEP k, next                    // five digits of 16 rows, times lanes k .. k + 4 of x; next: more steps, or none
    ssai    0
    ee.vmul.u8 q1, q0, q7
    ee.vmul.u8 q2, q0, q6
    ee.vmul.u8 q3, q1, q6
    ee.vmul.u8 q4, q2, q6
    ssai    8
    ee.vmul.u8 q0, q0, q7
    ee.vmul.u8 q1, q1, q7
    ee.vmul.u8 q2, q2, q7
    ee.vmul.u8 q3, q3, q7
    ee.vmul.u8 q4, q4, q7
    .ifc    \next, none
    ee.vsmulas.s8.qacc q0, q5, \k
    .else
    ee.vsmulas.s8.qacc.ld.incp q0, a2, q0, q5, \k
    .endif
    ee.vsmulas.s8.qacc q1, q5, \k+1
    ee.vsmulas.s8.qacc q2, q5, \k+2
    ee.vsmulas.s8.qacc q3, q5, \k+3
    ee.vsmulas.s8.qacc q4, q5, \k+4
    .endm

    .align  4
    .global bm_pie_five
    .type   bm_pie_five, @function
bm_pie_five:
    entry   a1, 32
    neg     a4, a4
    addi    a5, a5, 15
    srli    a5, a5, 4
    BYTES   q6, 9
    BYTES   q7, 3
    extui   a9, a6, 0, 2
    srli    a6, a6, 2
    addi    a6, a6, -1
    beqz    a5, .Lend
.Ltile:
    mov     a13, a3
    ee.vld.128.ip q5, a13, 16
    ee.vld.128.ip q0, a2, 16
    ee.zero.qacc
    loopgtz a6, 1f
    STEP    0, more
    STEP    5, more
    STEP    10, more
    ee.vld.128.ip q5, a13, 16
1:  beqi    a9, 1, .Lone
    beqi    a9, 2, .Ltwo
    STEP    0, more
.Ltwo:
    STEP    5, more
.Lone:
    STEP    10, none
    addi    a5, a5, -1                      // fills the gap after the last product
    ROWS    l, 0, start
    ROWS    h, 8, start
    addi    a7, a7, 64
    bnez    a5, .Ltile
.Lend:
    retw.n
    .size   bm_pie_five, . - bm_pie_five
