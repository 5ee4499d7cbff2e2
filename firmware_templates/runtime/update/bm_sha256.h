/* SPDX-License-Identifier: MIT-0 */
/* SHA-256 (FIPS 180-4), piece by piece. */
#ifndef BM_SHA256_H
#define BM_SHA256_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    uint32_t h[8], filled; /* bytes of the block that wait */
    uint64_t bytes;
    uint8_t block[64];
} bm_sha256;

void bm_sha256_begin(bm_sha256 *s);
void bm_sha256_add(bm_sha256 *s, const void *data, size_t n);
void bm_sha256_end(bm_sha256 *s, uint8_t digest[32]);

#ifdef __cplusplus
}
#endif
#endif
