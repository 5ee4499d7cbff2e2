/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `m0`: ternary products by table, four weights with one look-up and one addition.
 *
 * Layout (codegen/pack.py): groups of 4 rows; per group and 4 k one word, a byte of each row:
 *
 *     byte = 2 c0 + 6 c1 + 20 c2 + 60 c3,   c = w + 1 in {0, 1, 2} of k = 0 .. 3
 *
 * A byte is the offset of its sum in a table of 16-bit entries, 1024 + c0 x0 + c1 x1 + c2 x2 + c3 x3. |x| <= 127, so an entry lies in
 * [8, 2040]. Two neighbours are one word, and what is added to both is one number times 0x10001: no half ever borrows from the other.
 * Offsets reach 176. The tenth half of every 20 bytes is no entry: it makes nine entries five words.
 *
 * Cycles of a Cortex-M0+ (its Technical Reference Manual, DDI 0484, and the RP2040's multiplier): 32 per k for the tables, and 5.25 for
 * four weights of every row.
 */
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#include "bm_m0_frame.h"
    .syntax unified
    .thumb
    .section .text.bm_hot, "ax"       // linker scripts put it into RAM where flash is slow
    .balign 4

    .set TABLE, 180                 // bytes; BM_TABLE_WORDS in bm_kernels.c
    .set CHUNK, 64

/* void bm_m0_tables(const int8_t *x, uint32_t *tables): r0, r1 */
    .global bm_m0_tables
    .type bm_m0_tables, %function
    .thumb_func
bm_m0_tables:
    SAVE
    ldr r4, =0x04000400             // 1024, twice
    mov r10, r4
    ldr r7, =0x00010001
    mov r11, r7
    movs r4, #CHUNK
    adds r4, r4, r0
    mov r12, r4                     // end of x
1:  ldm r0!, {r6}
    sxtb r2, r6                     // x0
    lsls r3, r6, #16
    asrs r3, r3, #24                // x1
    lsls r4, r6, #8
    asrs r4, r4, #24                // x2
    asrs r5, r6, #24                // x3
    subs r5, r5, r4
    subs r5, r5, r4
    muls r4, r7, r4
    mov r8, r4                      // one more c2
    muls r5, r7, r5
    mov r9, r5                      // one more c3 and two less c2
    lsls r4, r2, #16
    add r4, r10                     // word 0: 0, x0
    movs r5, r3
    muls r5, r7, r5                 // x1, x1
    lsls r3, r3, #16
    add r3, r10
    adds r3, r3, r2
    adds r3, r3, r2                 // word 1: 2 x0, x1
    movs r6, r2
    muls r6, r7, r6                 // x0, x0
    adds r7, r4, r5                 // x1, x1 + x0
    adds r5, r7, r5                 // word 3: 2 x1, 2 x1 + x0
    adds r2, r2, r6
    adds r7, r7, r6
    adds r6, r2, r5                 // word 4: 2 x1 + 2 x0, and no entry
    movs r2, r4
    movs r4, r7                     // word 2: x1 + x0, x1 + 2 x0
    mov r7, r11

    .macro NEXT what
    stm r1!, {r2-r6}
    add r2, \what
    add r3, \what
    add r4, \what
    add r5, \what
    add r6, \what
    .endm
    NEXT r8
    NEXT r8
    NEXT r9
    NEXT r8
    NEXT r8
    NEXT r9
    NEXT r8
    NEXT r8
    stm r1!, {r2-r6}
    cmp r0, r12
    bne 1b
    LEAVE
    .ltorg
    .size bm_m0_tables, . - bm_m0_tables

/* void bm_m0_rows(const uint8_t *w, const uint32_t *tables, int32_t *y, const int32_t *end, uint32_t skip): r0 to r3, stack */
    .global bm_m0_rows
    .type bm_m0_rows, %function
    .thumb_func
bm_m0_rows:
    SAVE
    mov r8, r2                      // y
    mov r9, r3                      // its end
    mov r10, r1                     // tables
    ldr r4, [sp, #36]
    mov r11, r4                     // skip
1:  mov r3, r8
    ldm r3!, {r4-r7}                // sums of the four rows, the last in r12
    mov r12, r7
    mov r1, r10

    .macro WORD w                   // r3: free
    uxtb r3, \w
    ldrh r3, [r1, r3]
    adds r4, r4, r3
    lsrs r3, \w, #8
    uxtb r3, r3
    ldrh r3, [r1, r3]
    adds r5, r5, r3
    lsrs r3, \w, #16
    uxtb r3, r3
    ldrh r3, [r1, r3]
    adds r6, r6, r3
    lsrs r3, \w, #24
    ldrh r3, [r1, r3]
    add r12, r3
    .endm
    .rept CHUNK / 8
    ldm r0!, {r2, r7}
    WORD r2
    adds r1, r1, #TABLE
    WORD r7
    adds r1, r1, #TABLE
    .endr
    mov r3, r8
    mov r7, r12
    stm r3!, {r4-r7}
    mov r8, r3
    add r0, r11
    cmp r3, r9
    beq 2f
    b 1b                            // too far for a condition
2:  LEAVE
    .size bm_m0_rows, . - bm_m0_rows
#endif
