/* SPDX-License-Identifier: MIT-0 */
/* The square picture that a model sees, cut into its vectors (bitmar_tiny/data/pixels.py has the layout). */
#ifndef BM_PATCHES_H
#define BM_PATCHES_H

#include <stdint.h>

#include "bitmar.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Side of the square picture that this model takes; 0: it takes features only. */
unsigned bm_picture_side(void);

/* rgb [side][side][3], which is changed -> patches [BM_IMAGE_INPUTS][BM_VISION], the finest grid first. */
void bm_patches(uint8_t *rgb, uint8_t *patches);

#ifdef __cplusplus
}
#endif
#endif
