/* SPDX-License-Identifier: MIT-0 */
/* What RISC-V cores of 32 bits share: start, traps, the machine timer as the clock, the bytes that arrive, faults. BARE_MTIME,
 * BARE_MTIMECMP and BARE_HZ, the timer's rate, come from the board's profile.
 */
#ifndef BARE_RISCV_H
#define BARE_RISCV_H

#include "bare.h"

/* The chip's file has these. */
void bare_receive(void); /* puts by what has arrived */
void bare_external(void); /* an interrupt from outside the core */
void bare_line_write(void *user, const void *from, size_t bytes);
void bare_line_reset(void *user);

/* Interrupts on. */
void bare_riscv_start(void);

extern bare_ring bare_received;

/* For bm_port. */
size_t bare_line_read(void *user, void *into, size_t room);
uint64_t bare_line_cycles(void *user);
uint32_t bare_line_millis(void *user);
void bare_line_idle(void *user, uint32_t limit);
uint32_t bare_line_lost(void *user);

#endif
