/* CRC-32 as in zlib (polynomial 0xEDB88320): crc = bm_crc32(0, data, n), or continued with a previous crc. */
#ifndef BM_CRC32_H
#define BM_CRC32_H

#include <stddef.h>
#include <stdint.h>

uint32_t bm_crc32(uint32_t crc, const void *data, size_t n);

#endif
