/* SPDX-License-Identifier: MIT-0 */
/* RP2350: the QSPI memory interface (QMI; RP2350 Datasheet). The boot ROM leaves it reading on one line. */
#include "rp2.h"

#define QMI 0x400D0000u
#define DIRECT REG(QMI)
#define DIRECT_TX REG(QMI + 0x04u)
#define DIRECT_RX REG(QMI + 0x08u)
#define TIMING REG(QMI + 0x0Cu)
#define READ_FORMAT REG(QMI + 0x10u)
#define READ_COMMAND REG(QMI + 0x14u)
#define UNCACHED REG(0x14000000u)

#define DIRECT_ON (30u << 22 | 1u << 6 | 1u) /* an instruction at clk_sys / 30, chip select by itself */
#define DIRECT_BUSY 2u
#define PREFIX (1u << 12) /* of 8 bits */
/* Instruction on one line; address, mode, wait and data on four. */
#define QUAD (PREFIX | 2u << 14 | FLASH_WAIT << 16 | 2u << 2 | 2u << 4 | 2u << 6 | 2u << 8)

/* Two bytes out, the second of what comes in at the same time back. */
RP2_IN_RAM static uint32_t tell(uint32_t instruction, uint32_t data)
{
    DIRECT_TX = instruction;
    DIRECT_TX = data;
    while (DIRECT & DIRECT_BUSY) continue;
    (void)DIRECT_RX;
    return DIRECT_RX & 0xFFu;
}

RP2_IN_RAM void rp2_fast_flash(void)
{
    uint32_t status;
    DIRECT = DIRECT_ON;
    while (DIRECT & DIRECT_BUSY) continue;
    status = tell(FLASH_READ_STATUS2, 0);
    if (!(status & FLASH_QUAD_ENABLE)) {
        DIRECT_TX = FLASH_VOLATILE;
        while (DIRECT & DIRECT_BUSY) continue;
        (void)DIRECT_RX;
        (void)tell(FLASH_WRITE_STATUS2, status | FLASH_QUAD_ENABLE);
        status = tell(FLASH_READ_STATUS2, 0);
    }
    DIRECT = DIRECT_ON & ~1u;
    if (!(status & FLASH_QUAD_ENABLE)) {
        TIMING = 1u << 30 | 1u << 8 | 4u; /* stays on one line, at most 50 MHz */
        return;
    }
    rp2_flash_pins();
    TIMING = 1u << 30 | 2u << 8 | 2u; /* clk_sys / 2, sampled one cycle late */
    READ_COMMAND = FLASH_CONTINUOUS << 8 | FLASH_READ_QUAD;
    READ_FORMAT = QUAD;
    (void)UNCACHED; /* the one read with an instruction */
    READ_FORMAT = QUAD & ~PREFIX;
}
