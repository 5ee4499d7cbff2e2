/* SPDX-License-Identifier: MIT-0 */
/* A board without an operating system: what bare_main.c needs of it. One file, bare_<chip>.c, has all of it. */
#ifndef BARE_H
#define BARE_H

#include "bm_port.h"

/* Clocks, interrupts and the serial port; called first. */
void bare_start(void);

const struct bm_port *bare_port(void);

/* Bytes from the serial port that an interrupt has put by, so that none is lost while the model computes. */
#define BARE_RECEIVED 8192u

typedef struct {
    uint8_t bytes[BARE_RECEIVED];
    volatile uint32_t first, end; /* the interrupt writes end, the program first */
    volatile uint32_t lost; /* that found no room */
} bare_ring;

void bare_ring_put(bare_ring *r, uint8_t c);
size_t bare_ring_take(bare_ring *r, void *into, size_t room);

/* Bytes of the stack that were used, painted at the start. */
size_t bare_stack_peak(void *user);

/* Say what went wrong, on a line of its own, by the function that sends. */
void bare_say(void (*write)(void *user, const void *from, size_t bytes), const char *what,
    const char *const *names, const uintptr_t *values, size_t n);

#endif
