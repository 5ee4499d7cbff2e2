/* SPDX-License-Identifier: MIT-0 */
#include "bm_patches.h"

#include <string.h>

#define PATCH 16u

/* Side of the picture whose grid of 16x16 patches, or pyramid of such grids, makes the vectors of an image; 0 if none does. */
static unsigned find_side(int *pyramid)
{
    const unsigned inputs = BM_IMAGE_INPUTS;
    unsigned sum = 1, grid = 1;
    *pyramid = 0;
    if (BM_SEES_VECTORS) return 0;
    for (; grid * grid <= inputs; grid++)
        if (grid * grid == inputs) return PATCH * grid;
    for (*pyramid = 1, grid = 1; sum < inputs;) {
        grid *= 2u;
        sum += grid * grid;
    }
    return sum == inputs ? PATCH * grid : 0u;
}

unsigned bm_picture_side(void)
{
    int pyramid;
    return find_side(&pyramid);
}

/* rgb [side][side][3] -> patches, row by row; returns where the next ones go. */
static uint8_t *cut(const uint8_t *rgb, unsigned side, uint8_t *out)
{
    for (unsigned gy = 0; gy < side; gy += PATCH)
        for (unsigned gx = 0; gx < side; gx += PATCH)
            for (unsigned y = 0; y < PATCH; y++, out += 48)
                memcpy(out, rgb + ((gy + y) * side + gx) * 3u, 48);
    return out;
}

/* Average 2x2 pixels in place, halves up. */
static void halve(uint8_t *rgb, unsigned side)
{
    for (unsigned y = 0; y < side; y += 2u)
        for (unsigned x = 0; x < side; x += 2u)
            for (unsigned c = 0; c < 3u; c++) {
                const uint8_t *p = rgb + (y * side + x) * 3u + c, *q = p + side * 3u;
                rgb[(y / 2u * (side / 2u) + x / 2u) * 3u + c] = (uint8_t)((p[0] + p[3] + q[0] + q[3] + 2) /
                                                                          4);
            }
}

void bm_patches(uint8_t *rgb, uint8_t *patches)
{
    int pyramid;
    unsigned side = find_side(&pyramid);
    uint8_t *next = cut(rgb, side, patches);
    for (; pyramid && side > PATCH; side /= 2u) {
        halve(rgb, side);
        next = cut(rgb, side / 2u, next);
    }
}
