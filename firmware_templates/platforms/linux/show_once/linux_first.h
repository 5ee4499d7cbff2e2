/* SPDX-License-Identifier: MIT-0 */
/* The store that a memory begins with: what the model was trained to. */
#ifndef LINUX_FIRST_H
#define LINUX_FIRST_H

#include <stdint.h>

#include "bm_store.h"

/* A piece of that store; all between pieces is 0. */
typedef struct {
    uint32_t offset, bytes;
    const uint32_t *words; /* the lowest byte first */
} linux_piece;

extern const linux_piece linux_first[];
extern const uint32_t linux_first_pieces, linux_first_bytes;

/* Make the store where none is: whole, or not at all. */
bm_store_status linux_first_make(const char *path);

#endif
