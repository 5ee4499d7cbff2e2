/* SLICES bytes at a time (slicing-by-N, Kounavis and Berry 2005) over 1 KiB of tables for each, built on the first call: 16
 * where there is memory, 4 elsewhere. With BM_CRC32_SMALL four bits at a time over a constant table of 64 bytes. */
#include "bm_crc32.h"

#ifdef BM_CRC32_SMALL

uint32_t bm_crc32(uint32_t crc, const void *data, size_t n)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u, 0x4DB26158u, 0x5005713Cu,
        0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu, 0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
    };
    const uint8_t *p = data;
    crc = ~crc;
    while (n--) {
        crc ^= *p++;
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

#else

#ifdef __linux__
#define SLICES 16
#else
#define SLICES 4
#endif

/* table[s][b]: what byte b becomes once s more bytes have gone by. table[3][1] is 0 until they are built.
 * Not for two threads at once on the very first call. */
static uint32_t table[SLICES][256];

static void build_tables(void)
{
    for (uint32_t b = 0; b < 256u; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1u ? 0xEDB88320u : 0u);
        table[0][b] = crc;
    }
    for (uint32_t b = 0; b < 256u; b++)
        for (int s = 1; s < SLICES; s++) table[s][b] = (table[s - 1][b] >> 8) ^ table[0][table[s - 1][b] & 255u];
}

uint32_t bm_crc32(uint32_t crc, const void *data, size_t n)
{
    const uint8_t *p = data;
    if (table[3][1] == 0u) build_tables();
    crc = ~crc;
    for (; n >= SLICES; n -= SLICES, p += SLICES) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        uint32_t next = table[SLICES - 1][crc & 255u] ^ table[SLICES - 2][crc >> 8 & 255u] ^ table[SLICES - 3][crc >> 16 & 255u] ^
                        table[SLICES - 4][crc >> 24];
#if SLICES > 4
        next ^= table[11][p[4]] ^ table[10][p[5]] ^ table[9][p[6]] ^ table[8][p[7]] ^ table[7][p[8]] ^ table[6][p[9]];
        next ^= table[5][p[10]] ^ table[4][p[11]] ^ table[3][p[12]] ^ table[2][p[13]] ^ table[1][p[14]] ^ table[0][p[15]];
#endif
        crc = next;
    }
    for (; n > 0u; n--) crc = (crc >> 8) ^ table[0][(crc ^ *p++) & 255u];
    return ~crc;
}

#endif
