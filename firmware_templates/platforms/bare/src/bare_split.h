/* SPDX-License-Identifier: MIT-0 */
/* How a board shares the work of a step among its cores, if the program was made for more than one (BM_THREADS). */
#ifndef BARE_SPLIT_H
#define BARE_SPLIT_H

#include "bitmar.h"

/* Set s->split; or leave it alone, and one core computes. After bm_init. */
void bare_split_start(bm_state *s);

#endif
