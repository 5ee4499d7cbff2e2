/* SPDX-License-Identifier: MIT-0 */
/* The second stage that the boot ROM of the RP2040 asks for: 252 bytes, which it copies to RAM and starts there, and their CRC-32
 * (RP2040 Datasheet: polynomial 0x04C11DB7 from 0xFFFFFFFF, most significant bit first). The flash is read on one line, which every
 * flash chip can; rp2_flash.c goes on from there.
 */
    .syntax unified
    .thumb
    .section .boot2, "ax"
    ldr r0, =0x18000000             /* SSI */
    movs r1, #0
    str r1, [r0, #0x08]             /* off, to be set up */
    movs r1, #4
    str r1, [r0, #0x14]             /* clk_sys / 4 */
    ldr r1, =(31 << 16 | 3 << 8)    /* one line: instruction and address out, 32 bits in */
    str r1, [r0, #0x00]
    movs r1, #0
    str r1, [r0, #0x04]             /* one word at a time */
    ldr r1, =(0x03 << 24 | 2 << 8 | 6 << 2)  /* instruction 03, 8 bits; 24 bits of address */
    movs r2, #0xF4
    str r1, [r0, r2]
    movs r1, #1
    str r1, [r0, #0x08]
    ldr r0, =0x10000100             /* the vectors follow */
    ldr r1, =0xE000ED08
    str r0, [r1]                    /* VTOR */
    ldr r1, [r0]
    mov sp, r1
    ldr r1, [r0, #4]
    bx r1
    .balign 4
    .ltorg
    .org 252
    .word 0xF44705AC               /* tests/codegen/test_rp2.py computes it from the bytes */
