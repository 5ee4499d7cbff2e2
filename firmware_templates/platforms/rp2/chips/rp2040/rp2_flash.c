/* SPDX-License-Identifier: MIT-0 */
/* RP2040: the serial interface of the flash (SSI; RP2040 Datasheet). rp2_boot2.S leaves it reading on one line. */
#include "rp2.h"

#define SSI 0x18000000u
#define CONTROL REG(SSI)
#define COUNT REG(SSI + 0x04u)
#define ENABLE REG(SSI + 0x08u)
#define DIVISOR REG(SSI + 0x14u)
#define STATE REG(SSI + 0x28u)
#define DATA REG(SSI + 0x60u)
#define SAMPLE_DELAY REG(SSI + 0xF0u)
#define FORMAT REG(SSI + 0xF4u)

#define BUSY 1u
#define ALL_SENT 4u
#define BYTES (7u << 16) /* one line, both ways, 8 bits */
#define QUAD_WORDS (2u << 21 | 31u << 16 | 3u << 8) /* four lines: address out, 32 bits in */
/* 24 bits of address and 8 of mode on four lines, after an instruction of 8 bits on one; or without. */
#define WITH_INSTRUCTION (8u << 2 | FLASH_WAIT << 11 | 2u << 8 | 1u)
#define WITHOUT ((uint32_t)FLASH_CONTINUOUS << 24 | 8u << 2 | FLASH_WAIT << 11 | 2u)

RP2_IN_RAM static void finish(void)
{
    while (!(STATE & ALL_SENT) || STATE & BUSY) continue;
}

/* Two bytes out, the second of what comes in at the same time back. */
RP2_IN_RAM static uint32_t tell(uint32_t instruction, uint32_t data)
{
    DATA = instruction;
    DATA = data;
    finish();
    (void)DATA;
    return DATA & 0xFFu;
}

RP2_IN_RAM static void format(uint32_t control, uint32_t form)
{
    ENABLE = 0;
    CONTROL = control;
    COUNT = 0;
    FORMAT = form;
    ENABLE = 1u;
}

RP2_IN_RAM void rp2_fast_flash(void)
{
    const uint32_t control = CONTROL, form = FORMAT; /* what the start left */
    uint32_t status;
    format(BYTES, 0);
    status = tell(FLASH_READ_STATUS2, 0);
    if (!(status & FLASH_QUAD_ENABLE)) {
        DATA = FLASH_VOLATILE;
        finish();
        (void)DATA;
        (void)tell(FLASH_WRITE_STATUS2, status | FLASH_QUAD_ENABLE);
        status = tell(FLASH_READ_STATUS2, 0);
    }
    if (!(status & FLASH_QUAD_ENABLE)) {
        format(control, form);
        return;
    }
    rp2_flash_pins();
    ENABLE = 0;
    DIVISOR = 2u;
    SAMPLE_DELAY = 1u;
    format(QUAD_WORDS, WITH_INSTRUCTION);
    DATA = FLASH_READ_QUAD;
    DATA = FLASH_CONTINUOUS; /* address 0 and the mode: the one read with an instruction */
    finish();
    format(QUAD_WORDS, WITHOUT);
}
