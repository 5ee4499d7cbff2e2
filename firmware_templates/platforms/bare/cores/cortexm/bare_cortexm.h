/* SPDX-License-Identifier: MIT-0 */
/* What all Cortex-M share: vectors and start, SysTick as the clock, the bytes that arrive, faults. BARE_HZ, the clock, and BARE_UART_IRQ
 * come from the board's profile.
 */
#ifndef BARE_CORTEXM_H
#define BARE_CORTEXM_H

#include "bare.h"

/* The chip's file has these. */
void bare_receive(void); /* puts by what has arrived; the interrupt of the serial port */
void bare_line_write(void *user, const void *from, size_t bytes);
void bare_line_reset(void *user);

static inline void bare_interrupts_off(void) { __asm__ volatile("cpsid i" ::: "memory"); }

static inline void bare_interrupts_on(void) { __asm__ volatile("cpsie i" ::: "memory"); }

/* Interrupt of the serial port on, milliseconds begin. */
void bare_cortexm_start(void);

extern bare_ring bare_received;

/* For bm_port. */
size_t bare_line_read(void *user, void *into, size_t room);
uint64_t bare_line_cycles(void *user);
uint32_t bare_line_millis(void *user);
void bare_line_idle(void *user, uint32_t limit);
uint32_t bare_line_lost(void *user);

#endif
