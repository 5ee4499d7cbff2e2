/* SPDX-License-Identifier: MIT-0 */
/* Threads that share the rows of a matrix: a static split, so the same bits as one thread. */
#ifndef LINUX_THREADS_H
#define LINUX_THREADS_H

#include "bitmar.h"

#define LINUX_MAX_THREADS 16u

/* Let `threads` threads (this one included) compute the products of `s`. Returns 0, or -1 if they cannot be started. */
int linux_threads_start(bm_state *s, uint32_t threads);
/* End the helpers; `s` is computed by this thread alone again. */
void linux_threads_stop(bm_state *s);

#endif
