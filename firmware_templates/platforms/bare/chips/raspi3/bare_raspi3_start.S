/* SPDX-License-Identifier: MIT-0 */
/* Start of a BCM2837 (Raspberry Pi 3, Zero 2 W) in AArch64: core 0 goes on, from EL3 (an emulator), EL2 or EL1, with MMU and caches; the others sleep.
 * Sources: Arm Architecture Reference Manual for A-profile (DDI 0487), chapters D1, D8, D17.
 */
    .section .vectors, "ax"
    .global _start
_start:
    mrs x0, mpidr_el1
    tst x0, #3
    b.eq 1f
0:  wfi
    b 0b
1:  mrs x0, currentel
    cmp x0, #(2 << 2)
    b.lo 2f
    b.eq el2
    mov x0, #0x5b1                  /* EL2 is AArch64, non-secure, with HVC */
    msr scr_el3, x0
    msr cptr_el3, xzr
    mov x0, #0x3c9                  /* EL2h, interrupts masked */
    msr spsr_el3, x0
    adr x0, el2
    msr elr_el3, x0
    eret
el2:
    mov x0, #(1 << 31)              /* EL1 is AArch64 */
    msr hcr_el2, x0
    mov x0, #3                      /* EL1 may read the counters */
    msr cnthctl_el2, x0
    msr cntvoff_el2, xzr
    mov x0, #0x33ff                 /* no traps of floating point */
    msr cptr_el2, x0
    mov x0, #0x3c5                  /* EL1h, interrupts masked */
    msr spsr_el2, x0
    adr x0, 2f
    msr elr_el2, x0
    eret
2:  mov x0, #(3 << 20)
    msr cpacr_el1, x0
    ldr x0, =exceptions
    msr vbar_el1, x0
    ldr x0, =bare_stack_floor       /* paint the stack */
    ldr x1, =bare_stack_top
    ldr x2, =0xA5A5A5A5A5A5A5A5
3:  str x2, [x0], #8
    cmp x0, x1
    b.lo 3b
    mov sp, x1
    ldr x0, =bare_data
    ldr x1, =bare_data_end
    ldr x2, =bare_data_from
4:  cmp x0, x1
    b.hs 5f
    ldr x3, [x2], #8
    str x3, [x0], #8
    b 4b
5:  ldr x0, =bare_bss
    ldr x1, =bare_bss_end
6:  cmp x0, x1
    b.hs 7f
    str xzr, [x0], #8
    b 6b
7:  bl bare_map                     /* fills the tables; x0: the first of them */
    msr ttbr0_el1, x0
    ldr x0, =0x00ff                 /* attribute 0: memory, write-back; 1: devices */
    msr mair_el1, x0
    ldr x0, =0x0000000000803519     /* 39 bits of address, pages of 4 KB, tables in write-back memory; nothing above */
    msr tcr_el1, x0
    tlbi vmalle1
    ic iallu
    dsb sy
    isb
    mrs x0, sctlr_el1
    ldr x1, =0x1005                 /* MMU, data cache, instruction cache */
    orr x0, x0, x1
    msr sctlr_el1, x0
    isb
    bl main
8:  wfi
    b 8b

/* Interrupts come back, from serial port and timer; every register that a function may change is kept. */
interrupt:
    sub sp, sp, #560
    stp x0, x1, [sp]
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x29, [sp, #144]
    str x30, [sp, #160]
    stp q0, q1, [sp, #176]
    stp q2, q3, [sp, #208]
    stp q4, q5, [sp, #240]
    stp q6, q7, [sp, #272]
    stp q16, q17, [sp, #304]
    stp q18, q19, [sp, #336]
    stp q20, q21, [sp, #368]
    stp q22, q23, [sp, #400]
    stp q24, q25, [sp, #432]
    stp q26, q27, [sp, #464]
    stp q28, q29, [sp, #496]
    stp q30, q31, [sp, #528]
    bl bare_receive
    ldp q0, q1, [sp, #176]
    ldp q2, q3, [sp, #208]
    ldp q4, q5, [sp, #240]
    ldp q6, q7, [sp, #272]
    ldp q16, q17, [sp, #304]
    ldp q18, q19, [sp, #336]
    ldp q20, q21, [sp, #368]
    ldp q22, q23, [sp, #400]
    ldp q24, q25, [sp, #432]
    ldp q26, q27, [sp, #464]
    ldp q28, q29, [sp, #496]
    ldp q30, q31, [sp, #528]
    ldp x0, x1, [sp]
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x29, [sp, #144]
    ldr x30, [sp, #160]
    add sp, sp, #560
    eret

fault:
    mrs x0, esr_el1
    mrs x1, elr_el1
    mrs x2, far_el1
    b bare_fault

    .macro entry to
    .balign 128
    b \to
    .endm

    .balign 2048
exceptions:
    entry fault
    entry fault
    entry fault
    entry fault
    entry fault
    entry interrupt
    entry fault
    entry fault
    entry fault
    entry fault
    entry fault
    entry fault
    entry fault
    entry fault
    entry fault
    entry fault
    .ltorg
