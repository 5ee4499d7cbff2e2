/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `m0`: the products of attention. Each is a load, an extension, a product and an addition; the sums lie in the upper
 * registers, where an addition costs no more. Cycles of a Cortex-M0+ (DDI 0484): 19 for four products of one k, 37.5 for eight of a row.
 */
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#include "bm_m0_frame.h"
    .syntax unified
    .thumb
    .section .text.bm_hot, "ax"       // linker scripts put it into RAM where flash is slow
    .balign 4

/* void bm_m0_dots4(const int8_t *a, uint32_t stride, const int8_t *q, int32_t *y, uint32_t len): r0 to r3, stack */
    .global bm_m0_dots4
    .type bm_m0_dots4, %function
    .thumb_func
bm_m0_dots4:
    SAVE
    ldr r5, [sp, #36]
    mov r12, r3                     // y
    movs r4, r2
    adds r4, r4, r5                 // ends of q and of the rows: k runs from -len to 0
    adds r0, r0, r5
    movs r2, r1
    adds r1, r0, r2
    adds r3, r1, r2
    mov r8, r3
    adds r3, r3, r2
    mov r2, r8                      // rows: r0 to r3
    negs r5, r5
    movs r7, #0                     // sums: r8 to r11
    mov r8, r7
    mov r9, r7
    mov r10, r7
    mov r11, r7

    .macro ROW row, sum
    ldrsb r7, [\row, r5]
    muls r7, r6, r7
    add \sum, r7
    .endm
    .macro COLUMN
    ldrsb r6, [r4, r5]
    ROW r0, r8
    ROW r1, r9
    ROW r2, r10
    ROW r3, r11
    adds r5, r5, #1
    .endm
1:  lsls r6, r5, #30                // one by one until four at a time are left
    beq 2f
    COLUMN
    bne 1b
    b 3f
2:  COLUMN
    COLUMN
    COLUMN
    COLUMN
    bne 2b
3:  mov r0, r8
    mov r1, r9
    mov r2, r10
    mov r3, r11
    mov r4, r12
    stm r4!, {r0-r3}
    LEAVE
    .size bm_m0_dots4, . - bm_m0_dots4

/* void bm_m0_wsum8(const int32_t *w, const int8_t *v, uint32_t stride, int32_t *y, uint32_t n): r0 to r3, stack */
    .global bm_m0_wsum8
    .type bm_m0_wsum8, %function
    .thumb_func
bm_m0_wsum8:
    SAVE
    push {r3}
    ldr r4, [sp, #40]
    mov lr, r2                      // stride
    lsls r2, r4, #2
    adds r2, r2, r0
    push {r2}                       // end of w
    movs r5, #0                     // sums: r5 to r7, r8 to r12
    movs r6, #0
    movs r7, #0
    mov r8, r5
    mov r9, r5
    mov r10, r5
    mov r11, r5
    mov r12, r5
    lsls r4, r4, #31
    bne 2f                          // an odd number of rows: the first alone

    .macro COLUMNS4 at, s0, s1, s2, s3
    ldr r3, [r1, #\at]
    sxtb r4, r3
    muls r4, r2, r4
    add \s0, r4
    asrs r3, r3, #8
    sxtb r4, r3
    muls r4, r2, r4
    add \s1, r4
    asrs r3, r3, #8
    sxtb r4, r3
    muls r4, r2, r4
    add \s2, r4
    asrs r3, r3, #8
    muls r3, r2, r3
    add \s3, r3
    .endm
    .macro ROW8
    ldm r0!, {r2}
    COLUMNS4 0, r5, r6, r7, r8
    COLUMNS4 4, r9, r10, r11, r12
    add r1, lr
    .endm
1:  ROW8
2:  ROW8
    ldr r4, [sp]
    cmp r0, r4
    bne 1b
    pop {r2, r3}
    stm r3!, {r5-r7}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    stm r3!, {r4-r7}
    mov r4, r12
    stm r3!, {r4}
    LEAVE
    .size bm_m0_wsum8, . - bm_m0_wsum8
#endif
