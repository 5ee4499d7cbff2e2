/* SPDX-License-Identifier: MIT-0 */
/* Vectors and start of a Cortex-M, from the M0+ on. BARE_UART_IRQ comes from the board's profile. */
    .syntax unified
    .thumb
    .section .vectors, "a"
    .balign 256                     /* of VTOR: the linker script puts the table at its start */
bare_vectors:
    .word bare_stack_top
    .word bare_reset
    .rept 5                         /* NMI, HardFault, MemManage, BusFault, UsageFault */
    .word fault
    .endr
    .rept 4
    .word 0
    .endr
    .rept 3                         /* SVCall, DebugMonitor, and one that is reserved */
    .word fault
    .endr
    .word fault                     /* PendSV */
    .word bare_tick
    .rept BARE_UART_IRQ
    .word fault
    .endr
    .word bare_receive
    .rept 63 - BARE_UART_IRQ
    .word fault
    .endr

    .text
    .global bare_reset
    .thumb_func
bare_reset:
    ldr r0, =0xE000ED08             /* VTOR: a boot loader may have set another */
    ldr r1, =bare_vectors
    str r1, [r0]
    ldr r0, =bare_stack_floor       /* paint the stack: no function of C can do that to its own */
    ldr r1, =bare_stack_top
    ldr r2, =0xA5A5A5A5
1:  stm r0!, {r2}
    cmp r0, r1
    blo 1b
    mov sp, r1
#if __ARM_ARCH > 6
    ldr r0, =0xE000ED88             /* CPACR: floating point, and Helium where there is one */
    ldr r1, [r0]
    orr r1, r1, #(0xF << 20)
    str r1, [r0]
    dsb
    isb
#endif
    ldr r0, =bare_data
    ldr r1, =bare_data_end
    ldr r2, =bare_data_from
2:  cmp r0, r1
    bhs 3f
    ldm r2!, {r3}
    stm r0!, {r3}
    b 2b
3:  ldr r0, =bare_bss
    ldr r1, =bare_bss_end
    movs r2, #0
4:  cmp r0, r1
    bhs 5f
    stm r0!, {r2}
    b 4b
5:  bl main
    b .

    .thumb_func
fault:
    mrs r0, msp                     /* r0 - r3, r12, lr, pc and xPSR, as the processor stored them */
    bl bare_fault
    b .
    .ltorg
