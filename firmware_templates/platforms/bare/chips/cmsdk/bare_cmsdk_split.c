/* SPDX-License-Identifier: MIT-0 */
/* One core in the place of several: it computes one part after the other, so that an emulator shows the bits of all. */
#include "bare_split.h"

#if BM_THREADS > 1
static void split(bm_part_fn work, void *job)
{
    for (uint32_t part = 0; part < BM_THREADS; part++) work(job, part, BM_THREADS);
}

void bare_split_start(bm_state *s) { s->split = split; }
#endif
