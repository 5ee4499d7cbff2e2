/* SPDX-License-Identifier: MIT-0 */
/* A frame of a camera becomes the patches that the model takes. */
#ifndef ESPIDF_FRAME_H
#define ESPIDF_FRAME_H

#include "bm_scale.h"

#define ESPIDF_FRAME_SIDE 240u /* pixels along the shorter side of a frame, at most */

/* All 0 before the first frame. */
typedef struct {
    bm_scale scale;
    int32_t weights[2][BM_SCALE_WEIGHTS(ESPIDF_FRAME_SIDE)];
    uint8_t row[ESPIDF_FRAME_SIDE * 3u];
    uint8_t square[BM_IMAGE_INPUTS * BM_VISION], patches[BM_IMAGE_INPUTS * BM_VISION];
} espidf_frame;

/* The square in the middle of a frame -> patches, as bitmar-tiny makes them of a picture with its pixels.
 * rgb565: [height][width][2], the byte with red first; what is missing to 8 bits are the highest bits again.
 */
void espidf_frame_take(espidf_frame *f, const uint8_t *rgb565, unsigned width, unsigned height);

#endif
