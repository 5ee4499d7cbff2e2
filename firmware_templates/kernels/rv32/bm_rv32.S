/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `rv32`: the loops of look-ups and of dot products. bm_kernels.c draws the layout of the first and bm_gemv_t5.c that of the
 * second. Compilers move their loads about until registers spill, or add what a load's offset holds.
 *
 * Four rows take turns, so that none waits for the load before it. Only registers that no caller wants back are used.
 */
#if defined(__riscv) && __riscv_xlen == 32
    .text
    .set TABLE, 180                 // bytes; TABLE_WORDS in bm_kernels.c
    .set CHUNK, 64
    .set FIVE, 486                  // bytes of a table of 243 sums

/* void bm_rv32_rows(const uint8_t *w, const uint32_t *middle, int32_t *y, const int32_t *end, uint32_t width): a0 to a4
 *
 * y[i] += the entries that CHUNK / 4 bytes of each row name, for all groups of four rows, which lie width bytes apart. middle: the
 * table in the middle, so that every one is within reach of a load. */
    .macro WORD byte, offset
    lbu     a5, \byte(a0)
    lbu     a6, \byte+1(a0)
    lbu     a7, \byte+2(a0)
    lbu     t4, \byte+3(a0)
    add     a5, a5, a1
    add     a6, a6, a1
    add     a7, a7, a1
    add     t4, t4, a1
    lhu     a5, \offset(a5)
    lhu     a6, \offset(a6)
    lhu     a7, \offset(a7)
    lhu     t4, \offset(t4)
    add     t0, t0, a5
    add     t1, t1, a6
    add     t2, t2, a7
    add     t3, t3, t4
    .endm

    .balign 4
    .global bm_rv32_rows
    .type   bm_rv32_rows, @function
bm_rv32_rows:
1:  lw      t0, 0(a2)
    lw      t1, 4(a2)
    lw      t2, 8(a2)
    lw      t3, 12(a2)
    .set j, 0
    .rept CHUNK / 4
    WORD    4*j, (j-CHUNK/8)*TABLE
    .set j, j + 1
    .endr
    sw      t0, 0(a2)
    sw      t1, 4(a2)
    sw      t2, 8(a2)
    sw      t3, 12(a2)
    addi    a2, a2, 16
    add     a0, a0, a4
    bne     a2, a3, 1b
    ret
    .size   bm_rv32_rows, . - bm_rv32_rows

/* void bm_rv32_fives(const uint8_t *w, const int16_t *table, int32_t *y, const int32_t *end, uint32_t steps): a0 to a4
 *
 * y[i] = the sum of the entries that steps bytes of each row name. Four steps at a time: so many tables a load reaches. */
    .macro STEP byte, offset
    lbu     t4, \byte(a0)
    lbu     t5, \byte+1(a0)
    lbu     t6, \byte+2(a0)
    lbu     a6, \byte+3(a0)
    slli    t4, t4, 1
    slli    t5, t5, 1
    slli    t6, t6, 1
    slli    a6, a6, 1
    add     t4, t4, a5
    add     t5, t5, a5
    add     t6, t6, a5
    add     a6, a6, a5
    lh      t4, \offset(t4)
    lh      t5, \offset(t5)
    lh      t6, \offset(t6)
    lh      a6, \offset(a6)
    add     t0, t0, t4
    add     t1, t1, t5
    add     t2, t2, t6
    add     t3, t3, a6
    .endm

    .balign 4
    .global bm_rv32_fives
    .type   bm_rv32_fives, @function
bm_rv32_fives:
    beq     a2, a3, 5f
1:  li      t0, 0
    li      t1, 0
    li      t2, 0
    li      t3, 0
    mv      a5, a1
    srli    a7, a4, 2
    beqz    a7, 3f
2:  STEP    0, 0
    STEP    4, FIVE
    STEP    8, 2*FIVE
    STEP    12, 3*FIVE
    addi    a0, a0, 16
    addi    a5, a5, 4*FIVE
    addi    a7, a7, -1
    bnez    a7, 2b
3:  andi    a7, a4, 3
    beqz    a7, 6f
4:  STEP    0, 0
    addi    a0, a0, 4
    addi    a5, a5, FIVE
    addi    a7, a7, -1
    bnez    a7, 4b
6:  sw      t0, 0(a2)
    sw      t1, 4(a2)
    sw      t2, 8(a2)
    sw      t3, 12(a2)
    addi    a2, a2, 16
    bne     a2, a3, 1b
5:  ret
    .size   bm_rv32_fives, . - bm_rv32_fives

/* void bm_rv32_dots4(const int8_t *a, uint32_t stride, const int8_t *q, int32_t *y, uint32_t len): a0 to a4
 *
 * y[i] = sum of a[i * stride + k] q[k] for four rows i. */
    .macro TWO first, second, k, sum0, sum1 // products of two rows with q[k] in t4
    lb      t6, \k(\first)
    lb      a1, \k(\second)
    mul     t6, t6, t4
    mul     a1, a1, t4
    add     \sum0, \sum0, t6
    add     \sum1, \sum1, a1
    .endm

    .macro PRODUCTS k
    lb      t4, \k(a2)
    TWO     a0, a5, \k, t0, t1
    TWO     a6, a7, \k, t2, t3
    .endm

    .macro NEXT by
    addi    a0, a0, \by
    addi    a5, a5, \by
    addi    a6, a6, \by
    addi    a7, a7, \by
    addi    a2, a2, \by
    .endm

    .balign 4
    .global bm_rv32_dots4
    .type   bm_rv32_dots4, @function
bm_rv32_dots4:
    add     a5, a0, a1
    add     a6, a5, a1
    add     a7, a6, a1
    li      t0, 0
    li      t1, 0
    li      t2, 0
    li      t3, 0
    andi    t5, a4, -4
    add     t5, t5, a2              // end of the fours
    add     a4, a4, a2              // and of all
    beq     a2, t5, 2f
1:  PRODUCTS 0
    PRODUCTS 1
    PRODUCTS 2
    PRODUCTS 3
    NEXT    4
    bne     a2, t5, 1b
2:  beq     a2, a4, 4f
3:  PRODUCTS 0
    NEXT    1
    bne     a2, a4, 3b
4:  sw      t0, 0(a3)
    sw      t1, 4(a3)
    sw      t2, 8(a3)
    sw      t3, 12(a3)
    ret
    .size   bm_rv32_dots4, . - bm_rv32_dots4
#endif
