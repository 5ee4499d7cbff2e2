/* SPDX-License-Identifier: MIT-0 */
/* For the assembly of kernels m0: how a function keeps its caller's registers, the upper ones too. */
/* clang-format off */
    .macro SAVE /* 36 bytes of stack */
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    .endm

    .macro LEAVE
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .endm
