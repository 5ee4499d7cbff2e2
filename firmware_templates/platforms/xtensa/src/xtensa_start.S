/* SPDX-License-Identifier: MIT-0 */
/* The simulated lx106 begins at 0x50000000: a stack, then main; its result ends the simulation. Memory is as the ELF
 * file says, zero elsewhere. */
    .section .reset, "ax"
    .global _reset
_reset:
    j       _start

    .section .start, "ax"
    .literal_position
    .global _start
    .align 4
_start:
    movi    a1, xtensa_stack_top
    call0   main
    mov     a3, a2
    movi    a2, 1               /* SYS_exit */
    simcall
    j       _start
