/* SPDX-License-Identifier: MIT-0 */
/* The model as a part of the program: bm_init(&s, bm_blob, BM_BLOB_BYTES, ram).
 *
 * A program that has model.blob elsewhere, in a partition of the flash for example, gives bm_init that address, aligned
 * to 64 bytes, and does not name the array: then the linker leaves it out.
 */
#ifndef BM_BLOB_H
#define BM_BLOB_H

#include <stdint.h>

#include "bm_config.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const uint32_t bm_blob[(BM_BLOB_BYTES + 3u) / 4u]; /* little-endian */

#ifdef __cplusplus
}
#endif
#endif
