/* SPDX-License-Identifier: MIT-0 */
/* CRC-32 as in zlib (polynomial 0xEDB88320): of the blob at start, and of tensors in a traced build.
 *
 *   crc = bm_crc32(0, data, n);
 *   crc = bm_crc32(crc, more, n);   continues, as if both pieces had been one
 */
#ifndef BM_CRC32_H
#define BM_CRC32_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

uint32_t bm_crc32(uint32_t crc, const void *data, size_t n);

#ifdef __cplusplus
}
#endif
#endif
