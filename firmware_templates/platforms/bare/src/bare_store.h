/* SPDX-License-Identifier: MIT-0 */
/* Where a board keeps the memory's store, if the program was made with one (BM_MEMORY_IN_STORE). */
#ifndef BARE_STORE_H
#define BARE_STORE_H

#include "bitmar.h"

/* Open the store and make it the memory of s. NULL, or why there is none. */
const char *bare_store_start(bm_state *s);

#endif
