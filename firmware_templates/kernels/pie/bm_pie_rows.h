/* SPDX-License-Identifier: MIT-0 */
/* For the assembly of kernels pie: vectors of one byte, and the sixteen sums of QACC as sixteen words of y or the largest of them. */
/* clang-format off */
    .macro  BYTES to, value                 // every byte of a vector = value; frame bytes 0 to 15 are ours
    movi    a8, \value
    s8i     a8, a1, 0
    ee.vldbc.8 \to, a1
    .endm

    .macro  STORE row, to                   // y[row] = a12, added to -sum of x or to the chunks before; or the largest in a13
    .ifc    \to, largest
    max     a13, a13, a12
    .else
    .ifc    \to, start
    add     a12, a12, a4
    .else
    l32i    a11, a7, 4 * (\row)
    add     a12, a12, a11
    .endif
    s32i    a12, a7, 4 * (\row)
    .endif
    .endm

    .macro  ROWS half, row, to              // 8 lanes of 20 bits, in five words of 32
    rur.qacc_\half\()_0 a14
    sext    a12, a14, 19
    STORE   \row, \to
    rur.qacc_\half\()_1 a15
    ssai    20
    src     a12, a15, a14
    sext    a12, a12, 19
    STORE   \row+1, \to
    srli    a12, a15, 8
    sext    a12, a12, 19
    STORE   \row+2, \to
    rur.qacc_\half\()_2 a14
    ssai    28
    src     a12, a14, a15
    sext    a12, a12, 19
    STORE   \row+3, \to
    rur.qacc_\half\()_3 a15
    ssai    16
    src     a12, a15, a14
    sext    a12, a12, 19
    STORE   \row+4, \to
    srli    a12, a15, 4
    sext    a12, a12, 19
    STORE   \row+5, \to
    rur.qacc_\half\()_4 a14
    ssai    24
    src     a12, a14, a15
    sext    a12, a12, 19
    STORE   \row+6, \to
    srai    a12, a14, 12
    STORE   \row+7, \to
    .endm
