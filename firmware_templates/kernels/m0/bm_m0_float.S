/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `m0`: floats, which these cores have not, in the place of the compiler's library. Rounded to nearest even, denormals and
 * all, as numerics want them: each result has the bits that any processor gives. What is seldom is left to bm_m0_seldom.c.
 *
 * A mantissa in work has its leading bit at 30, so the seven below the result's last one are there to round by; what is lost
 * further down leaves a one in the lowest.
 */
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && __ARM_ARCH == 6 /* elsewhere the library has them in one piece */
    .syntax unified
    .thumb
    .section .text.bm_hot, "ax"
    .balign 4

    .macro FUNCTION names:vararg
    .irp name, \names
    .global \name
    .type \name, %function
    .thumb_func
\name:
    .endr
    .endm

    .macro STICKY to, from, spare   // to |= (from != 0)
    subs \spare, \from, #1
    sbcs \from, \from, \spare
    orrs \to, \to, \from
    .endm

    .macro SHIFT empty, by          // r0 and its exponent r2, where nothing is above bit `empty`
    lsrs r1, r0, #\empty
    bne 9f
    lsls r0, r0, #\by
    subs r2, r2, #\by
9:
    .endm

/* float a + b: r0, r1 */
    FUNCTION __aeabi_fsub, __subsf3
    movs r2, #1
    lsls r2, r2, #31
    eors r1, r1, r2
    FUNCTION __aeabi_fadd, __addsf3
    lsls r2, r0, #1
    lsls r3, r1, #1
    cmp r2, r3
    bhs 1f
    mov r12, r0                     // the larger one is a
    movs r0, r1
    mov r1, r12
    mov r12, r2
    movs r2, r3
    mov r3, r12
1:  lsrs r2, r2, #24                // exponents
    lsrs r3, r3, #24
    beq seldom_add
    cmp r2, #255
    beq seldom_add
    subs r3, r2, r3
    push {r4, r5, lr}
    mov r12, r0                     // sign of the result
    movs r5, r0
    eors r5, r5, r1
    movs r4, #1
    lsls r4, r4, #30
    lsls r0, r0, #9
    lsrs r0, r0, #2
    adds r0, r0, r4
    cmp r3, #30
    bhi rounded                     // b is too small to matter
    lsls r1, r1, #9
    lsrs r1, r1, #2
    adds r1, r1, r4
    movs r4, r1
    lsrs r1, r1, r3
    rsbs r3, r3, #0
    adds r3, r3, #32
    lsls r4, r4, r3                 // what b loses
    STICKY r1, r4, r3
    cmp r5, #0
    bmi subtract
    adds r0, r0, r1
    bpl round
    lsls r1, r0, #31
    lsrs r1, r1, #31
    lsrs r0, r0, #1
    orrs r0, r0, r1
    adds r2, r2, #1
    cmp r2, #255
    bne round
    movs r0, #0                     // infinite
    lsls r2, r2, #23
    b signed

subtract:
    subs r0, r0, r1
    beq done                        // +0
normalise:                          // leading bit to 30; r2: exponent
    lsls r1, r0, #1
    bmi round
    SHIFT 15, 16
    SHIFT 23, 8
    SHIFT 27, 4
    SHIFT 29, 2
    SHIFT 30, 1
    cmp r2, #0
    bgt round
    movs r1, #8                     // denormal, and exact
    subs r1, r1, r2
    lsrs r0, r0, r1
    movs r2, #0
    b signed
round:
    lsrs r1, r0, #8                 // carry: the result's last bit
    movs r1, #63
    adcs r0, r0, r1
rounded:
    lsrs r0, r0, #7
    subs r2, r2, #1                 // the mantissa's leading bit counts one more
    lsls r2, r2, #23
signed:
    adds r0, r0, r2
    mov r1, r12
    lsrs r1, r1, #31
    lsls r1, r1, #31
    orrs r0, r0, r1
done:
    pop {r4, r5, pc}

seldom_add:
    push {r4, lr}
    bl bm_m0_add_seldom
    pop {r4, pc}

/* float of an int32: r0 */
    FUNCTION __aeabi_i2f, __floatsisf
    cmp r0, #0
    beq 2f
    push {r4, r5, lr}
    mov r12, r0
    movs r2, #157                   // of 2^30
    cmp r0, #0
    bpl normalise
    rsbs r0, r0, #0
    bpl normalise
    lsrs r0, r0, #1                 // -2^31
    adds r2, r2, #1
    b round
2:  bx lr

/* float a * b: r0, r1. The mantissas are A 2^8 + a and B 2^8 + b. */
    FUNCTION __aeabi_fmul, __mulsf3
    lsls r2, r0, #1
    lsrs r2, r2, #24
    subs r2, r2, #1
    cmp r2, #254
    bhs seldom_mul
    lsls r3, r1, #1
    lsrs r3, r3, #24
    subs r3, r3, #1
    cmp r3, #254
    bhs seldom_mul
    adds r2, r2, r3
    subs r2, r2, #126               // exponent - 1, if the product is less than 2
    cmp r2, #253
    bhs seldom_mul
    push {r4, r5, lr}
    movs r3, r0
    eors r3, r3, r1
    mov r12, r3                     // sign
    movs r4, #128
    lsls r4, r4, #8
    lsls r3, r0, #9
    lsrs r3, r3, #17
    adds r3, r3, r4                 // A
    lsls r5, r1, #9
    lsrs r5, r5, #17
    adds r5, r5, r4                 // B
    uxtb r0, r0
    uxtb r1, r1
    movs r4, r3
    muls r4, r1, r4                 // A b
    muls r1, r0, r1                 // a b
    muls r0, r5, r0                 // a B
    muls r3, r5, r3                 // A B
    adds r0, r0, r4
    lsrs r4, r1, #8
    adds r0, r0, r4
    lsrs r4, r0, #8
    adds r3, r3, r4                 // upper 32 of 48 bits
    lsls r0, r0, #24
    lsls r1, r1, #24
    orrs r0, r0, r1
    STICKY r3, r0, r1
    cmp r3, #0
    bpl 1f
    lsls r0, r3, #31
    lsrs r0, r0, #31
    lsrs r3, r3, #1
    orrs r3, r3, r0
    adds r2, r2, #1
1:  lsrs r0, r3, #8                 // as above
    movs r0, #63
    adcs r0, r0, r3
    lsrs r0, r0, #7
    lsls r2, r2, #23
    b signed

seldom_mul:
    push {r4, lr}
    bl bm_m0_mul_seldom
    pop {r4, pc}
#endif
