/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `pie`: ternary products on the 128-bit vector extension of the ESP32-S3 (Technical Reference Manual,
 * TRM, chapter 1). C calls this through bm_kernels.c, which keeps what is not aligned away from it.
 *
 * Layout (codegen/pack.py): tiles of 16 rows, cut into blocks of 64 k = 256 bytes:
 *
 *     byte 16 j + r of a block, plane p (bits 2p, 2p+1) = code of row r, k = 16 p + j,   code = w + 1 in {0, 1, 2}
 *
 * Rows are lanes: lane r of QACC (16 lanes of 20 bits) is the sum of row r, so that no horizontal sum is needed, and
 * EE.VSMULAS multiplies 16 rows with one byte of x and loads the next weights: two instructions for 16 weights.
 *
 * A plane is masked in place, so that it stands for 4^p times its codes, and planes are taken from the highest down.
 * Between them all sums are shifted right by two (EE.SRCMB writes them back), exactly, as they are multiples of four.
 * Plane 3 would reach -128 in place; it is shifted down, by a multiplication with 1 and SAR = 6, and comes last.
 * The weights are read four times, once for each plane: 16 rows of 512 k are 2 KiB, which stay in the data cache.
 *
 * Bound of a lane over a chunk of up to 8 blocks (128 k in each plane), |x| <= 127, codes <= 2, whatever the order:
 *     plane 2:                      32 * 127 * 128  = 520192 <= 2^19 - 1, where EE.VSMULAS would saturate
 *     plane 1:         520192 / 4 +  8 * 127 * 128  = 260096
 *     planes 0 and 3:  260096 / 4 +  4 * 127 * 128  = 130048
 * Longer rows take chunk after chunk and add up in y: 2 * 127 * K < 2^31 for K <= 4096.
 *
 * Alignment: a 128-bit access drops the low four bits of its address, silently (TRM 1.5.3). The caller guarantees that
 * w and x are multiples of 16 (the runtime's buffers are of 64); y needs 4. Nothing is read beyond the arguments' ends,
 * not even to fill the pipeline. The q registers are a coprocessor's: safe in a task, not in an interrupt handler.
 * A load or product is ready two instructions later (TRM table 1.7-2); weights go in pairs, which leaves no stall.
 */
#include "bm_pie_rows.h"
    .text

/* The loops of bm_pie_gemv keep:
 *   a2 weights of this chunk   a5 tiles left         a8  blocks left in the row     a11 weights   q0, q1 weights
 *   a3 x                       a6 blocks in a row    a9  x of this chunk            a12 x         q2     x
 *   a4 -sum of x               a7 y                  a10 blocks of this chunk - 1   a13 = 2       q3..q6 masks, ones */

    .macro  CODES extract, mask             // one plane of two vectors of weights, in place
    \extract q0, q0, \mask
    \extract q1, q1, \mask
    .endm

    .macro  PAIR extract, mask, first, second
    CODES   \extract, \mask
    ee.vsmulas.s8.qacc.ld.incp q0, a11, q0, q2, \first
    ee.vsmulas.s8.qacc.ld.incp q1, a11, q1, q2, \second
    .endm

    .macro  BLOCK extract, mask, next       // one plane of 16 rows x 64 k; next: more blocks, this chunk again, or none
    ee.vld.128.ip q2, a12, 64
    PAIR    \extract, \mask, 0, 1
    PAIR    \extract, \mask, 2, 3
    PAIR    \extract, \mask, 4, 5
    PAIR    \extract, \mask, 6, 7
    PAIR    \extract, \mask, 8, 9
    PAIR    \extract, \mask, 10, 11
    PAIR    \extract, \mask, 12, 13
    .ifc    \next, none
    CODES   \extract, \mask
    ee.vsmulas.s8.qacc q0, q2, 14
    ee.vsmulas.s8.qacc q1, q2, 15
    .else
    .ifc    \next, again
    mov     a11, a2
    .endif
    PAIR    \extract, \mask, 14, 15
    .endif
    .endm

    .macro  PLANE number, shift, extract, mask, next
    addi    a12, a9, 16 * \number
    .if     \shift
    ee.srcmb.s8.qacc q7, a13, 0             // QACC >>= 2; q7 is of no use
    .endif
    loopgtz a10, 1f
    BLOCK   \extract, \mask, more
1:  BLOCK   \extract, \mask, \next
    .endm

    .macro  TILE to
    mov     a2, a11
    addi    a9, a12, -48
    ROWS    l, 0, \to
    ROWS    h, 8, \to
    .endm

/* void bm_pie_gemv(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y);  k >= 1 */
    .align  4
    .global bm_pie_gemv
    .type   bm_pie_gemv, @function
bm_pie_gemv:
    entry   a1, 32
    neg     a4, a4
    addi    a5, a5, 15
    srli    a5, a5, 4
    addi    a6, a6, 63
    srli    a6, a6, 6
    BYTES   q3, 0x03
    BYTES   q4, 0x0C
    BYTES   q5, 0x30
    BYTES   q6, 0x01
    movi    a13, 2
    beqz    a5, .Lend
.Ltile:
    mov     a8, a6
    mov     a9, a3
.Lchunk:
    movi    a10, 8
    min     a10, a10, a8
    sub     a8, a8, a10
    addi    a10, a10, -1
    mov     a11, a2
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a11, 16
    ee.zero.qacc
    ssai    6
    PLANE   2, 0, ee.andq, q5, again
    PLANE   1, 1, ee.andq, q4, again
    PLANE   0, 1, ee.andq, q3, again
    PLANE   3, 0, ee.vmul.u8, q6, none
    beq     a9, a3, .Lfirst
    j       .Lmore
.Lfirst:
    TILE    start
.Lstored:
    bnez    a8, .Lchunk
    addi    a7, a7, 64
    addi    a5, a5, -1
    bnez    a5, .Ltile
.Lend:
    retw.n
.Lmore:
    TILE    sum
    j       .Lstored
    .size   bm_pie_gemv, . - bm_pie_gemv

/* uint32_t bm_pie_probe(void): 64 * 1 in every lane, shifted right twice by two: lane 0 is 4 if
 * EE.SRCMB writes the shifted sums back, as its manual says and bm_pie_gemv needs. */
    .align  4
    .global bm_pie_probe
    .type   bm_pie_probe, @function
bm_pie_probe:
    entry   a1, 32
    BYTES   q0, 64
    BYTES   q1, 1
    movi    a9, 2
    ee.zero.qacc
    ee.vsmulas.s8.qacc q0, q1, 0
    ee.srcmb.s8.qacc q2, a9, 0
    ee.srcmb.s8.qacc q2, a9, 0
    rur.qacc_l_0 a2
    sext    a2, a2, 19
    retw.n
    .size   bm_pie_probe, . - bm_pie_probe
