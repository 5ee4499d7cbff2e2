/* SPDX-License-Identifier: MIT-0 */
/* A picture of any size becomes the square that the model sees, row by row, as bitmar-tiny does it: fitted whole, the rest white,
 * by Pillow's Lanczos filter in 8 bits, to the bit.
 */
#ifndef BM_SCALE_H
#define BM_SCALE_H

#include <stdint.h>

#include "bitmar.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_SCALE_SIDE (16u * BM_IMAGE_INPUTS) /* of no square more: bm_patches.c */

/* Weights of one direction of a picture whose sides have `most` pixels at most. */
#define BM_SCALE_WEIGHTS(most) (6u * (most) + 8u * BM_SCALE_SIDE)

/* One direction: `from` pixels become `to`, which begin at `at` of the square. Output i has the weights of the inputs first[i] ... */
typedef struct {
    unsigned from, to, at;
    unsigned first[BM_SCALE_SIDE], count[BM_SCALE_SIDE], begin[BM_SCALE_SIDE];
    int32_t *weights; /* the caller's: BM_SCALE_WEIGHTS */
} bm_scale_direction;

/* All 0 but the caller's weights before its first picture. */
typedef struct {
    bm_scale_direction across, down;
    unsigned square, rows; /* side of the square; rows that came */
    int32_t sums[BM_IMAGE_INPUTS * BM_VISION]; /* [down.to][across.to][3] */
    uint8_t narrow[BM_SCALE_SIDE * 3u]; /* a row, resampled across */
} bm_scale;

/* Begin a picture of width x height pixels, one at least, for a square of side x side. */
void bm_scale_begin(bm_scale *s, unsigned width, unsigned height, unsigned side);

/* Take the next of its rows. rgb: [width][3]. */
void bm_scale_row(bm_scale *s, const uint8_t *rgb);

/* Write the square after the last row. rgb: [side][side][3]. */
void bm_scale_end(const bm_scale *s, uint8_t *rgb);

#ifdef __cplusplus
}
#endif
#endif
