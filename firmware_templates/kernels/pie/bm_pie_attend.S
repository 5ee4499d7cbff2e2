/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `pie`: dot products and weighted sums over the int8 cache, for the ESP32-S3 (see bm_pie_gemv.S).
 *
 * Alignment: a 128-bit access drops the low four bits of its address, silently (TRM 1.5.3). The caller guarantees
 * that a, q, v and stride are multiples of 16, as slices of 16, 32, 64 bytes of the runtime's 64-byte aligned rows are;
 * w and y need 4. bm_kernels.c takes everything else to plain C. Nothing is read beyond the last row.
 */
    .text

/* void bm_pie_dots(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t vectors, int32_t *y);
 *
 * y[i] = sum over 16 * vectors bytes of row i times q; vectors >= 1. One or two vectors (heads of 16 and 32) keep q in
 * registers, and the multiplication of a row loads the next row; longer rows read q again.
 * Bound: ACCX holds 40 bits, 127^2 * 4096 < 2^26; EE.SRS.ACCX, here by 0 bits, would saturate at 2^31. */
    .macro  SAVE                            // *y++ = ACCX; the addition fills the gap after the last product
    addi    a7, a7, 4
    ee.srs.accx a10, a9, 0
    s32i    a10, a7, 0
    .endm

    .align  4
    .global bm_pie_dots
    .type   bm_pie_dots, @function
bm_pie_dots:
    entry   a1, 32
    movi    a9, 0
    addi    a7, a7, -4
    beqz    a5, .Ldone
    addi    a5, a5, -1                      // the last row is peeled off: it loads nothing
    addi    a8, a3, -16                     // from a row's second vector to the next row
    ee.vld.128.ip q0, a4, 16
    beqi    a6, 1, .Lone
    beqi    a6, 2, .Ltwo
    j       .Llong
.Lone:
    ee.vld.128.xp q4, a2, a3
    loopgtz a5, 1f
    ee.zero.accx
    ee.vmulas.s8.accx.ld.xp q4, a2, a3, q4, q0
    SAVE
1:  ee.zero.accx
    ee.vmulas.s8.accx q4, q0
    SAVE
.Ldone:
    retw.n
.Ltwo:
    ee.vld.128.ip q1, a4, 16
    ee.vld.128.ip q4, a2, 16
    ee.vld.128.xp q5, a2, a8
    loopgtz a5, 1f
    ee.zero.accx
    ee.vmulas.s8.accx.ld.ip q4, a2, 16, q4, q0
    ee.vmulas.s8.accx.ld.xp q5, a2, a8, q5, q1
    SAVE
1:  ee.zero.accx
    ee.vmulas.s8.accx q4, q0
    ee.vmulas.s8.accx q5, q1
    SAVE
    retw.n
.Llong:
    addi    a4, a4, -16
    addi    a5, a5, 1
    addi    a6, a6, -1
    srli    a8, a6, 1                       // vectors = 2 * pairs + rest + the one that is loaded first
    extui   a6, a6, 0, 1
.Lrow:
    mov     a11, a2
    mov     a12, a4
    ee.zero.accx
    ee.vld.128.ip q0, a11, 16
    ee.vld.128.ip q1, a12, 16
    loopgtz a8, 1f
    ee.vld.128.ip q2, a11, 16
    ee.vld.128.ip q3, a12, 16
    ee.vmulas.s8.accx.ld.ip q0, a11, 16, q0, q1
    ee.vld.128.ip q1, a12, 16
    ee.vmulas.s8.accx q2, q3
1:  loopgtz a6, 1f
    ee.vmulas.s8.accx.ld.ip q0, a11, 16, q0, q1
    ee.vld.128.ip q1, a12, 16
1:  add     a2, a2, a3
    ee.vmulas.s8.accx q0, q1
    addi    a5, a5, -1
    SAVE
    bnez    a5, .Lrow
    retw.n
    .size   bm_pie_dots, . - bm_pie_dots

/* void bm_pie_wsum16(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, int32_t *y);
 *
 * y[k] = sum over n rows of w[i] v[i * stride + k] for 16 columns k. 0 <= w <= 2^14 is the low half of an int32 and so
 * a 16-bit lane. Two bytes of v are one 16-bit lane, of which a pass keeps one as the high byte: 256 times its value.
 * A pass is 8 columns, the even or the odd ones, since QACC has 8 lanes of 40 bits. The result is bits 8 to 39 of each.
 * Bound: 256 * 2^14 * 127 * n <= 2^39 - 1 for n <= 1032, the bound of the sum itself in int32. */
    .macro  ROW extract, with               // one row: q4 = its weight
    ee.vld.128.xp q0, a14, a4
    ee.vldbc.32.ip q4, a13, 4
    \extract q0, q0, \with
    ee.vsmulas.s16.qacc q0, q4, 0
    .endm

    .macro  ROWS4 extract, with             // four rows: weights in lanes 0, 2, 4, 6 of q4
    ee.vld.128.ip q4, a13, 16
    ee.vld.128.xp q0, a14, a4
    ee.vld.128.xp q1, a14, a4
    ee.vld.128.xp q2, a14, a4
    ee.vld.128.xp q3, a14, a4
    \extract q0, q0, \with
    \extract q1, q1, \with
    \extract q2, q2, \with
    \extract q3, q3, \with
    ee.vsmulas.s16.qacc q0, q4, 0
    ee.vsmulas.s16.qacc q1, q4, 2
    ee.vsmulas.s16.qacc q2, q4, 4
    ee.vsmulas.s16.qacc q3, q4, 6
    .endm

    .macro  LANES half, column              // 4 lanes of 40 bits / 256 = 4 words of 32
    ssai    8
    rur.qacc_\half\()_0 a7
    rur.qacc_\half\()_1 a8
    src     a15, a8, a7
    s32i    a15, a6, 4 * (\column)
    rur.qacc_\half\()_2 a7
    ssai    16
    src     a15, a7, a8
    s32i    a15, a6, 4 * (\column + 2)
    rur.qacc_\half\()_3 a8
    ssai    24
    src     a15, a8, a7
    s32i    a15, a6, 4 * (\column + 4)
    rur.qacc_\half\()_4 a7
    s32i    a7, a6, 4 * (\column + 6)
    .endm

    .macro  PASS extract, with, column
    mov     a13, a2
    mov     a14, a3
    ee.zero.qacc
    ssai    0                               // for ee.vmul.s16
    loopgtz a9, 1f
    ROW     \extract, \with
1:  loopgtz a10, 1f
    ROWS4   \extract, \with
1:  loopgtz a11, 1f
    ROW     \extract, \with
1:  LANES   l, \column
    LANES   h, \column+8
    .endm

    .align  4
    .global bm_pie_wsum16
    .type   bm_pie_wsum16, @function
bm_pie_wsum16:
    entry   a1, 32
    movi    a8, 256
    s16i    a8, a1, 0                       // frame bytes 0 to 15 are ours
    ee.vldbc.16 q6, a1                      // * 256: the low bytes
    neg     a8, a8
    s16i    a8, a1, 0
    ee.vldbc.16 q7, a1                      // & 0xFF00: the high bytes
    extui   a9, a2, 2, 2
    neg     a9, a9
    extui   a9, a9, 0, 2                    // rows before w is a multiple of 16,
    minu    a9, a9, a5
    sub     a10, a5, a9
    extui   a11, a10, 0, 2                  // rows after,
    srli    a10, a10, 2                     // and fours of rows between them
    PASS    ee.vmul.s16, q6, 0
    PASS    ee.andq, q7, 1
    retw.n
    .size   bm_pie_wsum16, . - bm_pie_wsum16
