/* SPDX-License-Identifier: MIT-0 */
/* `bitmar bench` and `bitmar profile`: what the kernels and the whole step take on this machine, as JSON. */
#ifndef LINUX_BENCH_H
#define LINUX_BENCH_H

#include <stddef.h>

#include "bitmar.h"

/* Run everything on one thread and print one JSON document. `kernels`: by shape, too. `features`: room for those of an image.
 * `written`: bytes that the last episode moved, where the memory is in a store; may be NULL. Returns the exit status. */
int linux_bench(bm_state *s, int kernels, float *features, const uint64_t *written);

/* Limits of this machine with the registers of the kernel family (linux_peak.c). */
double linux_now(void);                                      /* seconds */
double linux_clock(void); /* cycles per second, from a chain of dependent additions */
double linux_peak_macs(void); /* 8-bit multiply-adds per second; 0: not measured */
double linux_read_bandwidth(const void *data, size_t bytes); /* bytes per second, data read over and over */

#endif
