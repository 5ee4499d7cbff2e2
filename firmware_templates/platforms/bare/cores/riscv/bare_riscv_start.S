/* SPDX-License-Identifier: MIT-0 */
/* Start and traps of a RISC-V core of 32 bits without floating-point registers, in machine mode. The linker script puts
 * `.vectors` first, where the processor begins. */
#if __riscv_xlen != 32 || defined(__riscv_flen)
#error "cores/riscv: compile for RV32 without F and D"
#endif
    .section .vectors, "ax"
    .global bare_reset
bare_reset:
    csrci mstatus, 8
    la t0, trap
    csrw mtvec, t0
    la t0, bare_stack_floor         /* paint the stack: no function of C can do that to its own */
    la sp, bare_stack_top
    li t1, 0xA5A5A5A5
1:  sw t1, 0(t0)
    addi t0, t0, 4
    bltu t0, sp, 1b
    la t0, bare_data
    la t1, bare_data_end
    la t2, bare_data_from
2:  bgeu t0, t1, 3f
    lw t3, 0(t2)
    sw t3, 0(t0)
    addi t0, t0, 4
    addi t2, t2, 4
    j 2b
3:  la t0, bare_bss
    la t1, bare_bss_end
4:  bgeu t0, t1, 5f
    sw zero, 0(t0)
    addi t0, t0, 4
    j 4b
5:  call main
6:  wfi
    j 6b

/* Interrupts come back; every register that a function may change is kept. */
    .text
    .balign 4
trap:
    addi sp, sp, -64
    sw ra, 0(sp)
    sw t0, 4(sp)
    sw t1, 8(sp)
    sw t2, 12(sp)
    sw t3, 16(sp)
    sw t4, 20(sp)
    sw t5, 24(sp)
    sw t6, 28(sp)
    sw a0, 32(sp)
    sw a1, 36(sp)
    sw a2, 40(sp)
    sw a3, 44(sp)
    sw a4, 48(sp)
    sw a5, 52(sp)
    sw a6, 56(sp)
    sw a7, 60(sp)
    csrr a0, mcause
    bgez a0, fault
    call bare_interrupt
    lw ra, 0(sp)
    lw t0, 4(sp)
    lw t1, 8(sp)
    lw t2, 12(sp)
    lw t3, 16(sp)
    lw t4, 20(sp)
    lw t5, 24(sp)
    lw t6, 28(sp)
    lw a0, 32(sp)
    lw a1, 36(sp)
    lw a2, 40(sp)
    lw a3, 44(sp)
    lw a4, 48(sp)
    lw a5, 52(sp)
    lw a6, 56(sp)
    lw a7, 60(sp)
    addi sp, sp, 64
    mret

fault:
    csrr a1, mepc
    csrr a2, mtval
    mv a3, ra
    la sp, bare_stack_top           /* the stack may be what is wrong */
    call bare_fault
7:  j 7b
