/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `pie`: a tile of a head that leaves out what cannot win; see bm_gemv_skip.c for the layout and the proof, and
 * bm_pie_gemv.S for what is the same.
 *
 * Rows are lanes of QACC. A step's four vectors of weights stay in registers: a plane is what EE.ANDQ leaves of their
 * lowest two bits, then EE.VMUL.U8 with 1 and SAR = 2 brings the next one down. So QACC holds the plain sums after
 * every step, and the largest of them is compared with the floor.
 *
 * Bound of a lane: 2 * 127 * k <= 2^19 - 1, where EE.VSMULAS would saturate, for k <= 2064. The caller sees to it.
 * A step is 48 instructions for 256 weights, and 68 to compare. Nothing is read beyond the steps that are done.
 */
#include "bm_pie_rows.h"
    .text

/* uint32_t bm_pie_skip(const uint8_t *tile, const int8_t *x, const int32_t *floor, uint32_t steps, int32_t *y);
 *
 * floor may be NULL. Returns the steps done. The loop keeps:
 *   a2 weights   a4 zero (ROWS adds it)   a6 floor    a9 all steps               q0..q3 weights   q5 threes
 *   a3 x         a5 steps left            a7 y        a13 the largest sum        q4 x             q6 ones      q7 codes */

    .macro  CODE w, k, more                 // a plane of one vector, times lane k of x
    .if     \more
    ee.andq q7, \w, q5
    ee.vmul.u8 \w, \w, q6
    ee.vsmulas.s8.qacc q7, q4, \k
    .else
    ee.vsmulas.s8.qacc \w, q4, \k           // the last one alone is left
    .endif
    .endm

    .macro  PLANE k, more
    CODE    q0, \k, \more
    CODE    q1, \k+1, \more
    CODE    q2, \k+2, \more
    CODE    q3, \k+3, \more
    .endm

    .align  4
    .global bm_pie_skip
    .type   bm_pie_skip, @function
bm_pie_skip:
    entry   a1, 32
    mov     a7, a6
    mov     a6, a4
    mov     a9, a5
    movi    a4, 0
    BYTES   q5, 0x03
    BYTES   q6, 0x01
    ee.zero.qacc
.Lstep:
    ee.vld.128.ip q4, a3, 16
    ee.vld.128.ip q0, a2, 16
    ee.vld.128.ip q1, a2, 16
    ee.vld.128.ip q2, a2, 16
    ee.vld.128.ip q3, a2, 16
    ssai    2
    PLANE   0, 1
    PLANE   4, 1
    PLANE   8, 1
    PLANE   12, 0
    addi    a5, a5, -1
    beqz    a5, .Lwhole
    beqz    a6, .Lstep
    movi    a13, -2048                      // no sum is below -2^19
    slli    a13, a13, 8
    ROWS    l, 0, largest
    ROWS    h, 8, largest
    l32i    a12, a6, 0
    addi    a6, a6, 4
    bge     a12, a13, .Lstop
    j       .Lstep
.Lstop:
    sub     a2, a9, a5
    retw.n
.Lwhole:
    ROWS    l, 0, start
    ROWS    h, 8, start
    mov     a2, a9
    retw.n
    .size   bm_pie_skip, . - bm_pie_skip
