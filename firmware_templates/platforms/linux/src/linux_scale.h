/* SPDX-License-Identifier: MIT-0 */
/* A picture of any size becomes the square that the model sees, row by row, as bitmar-tiny does it: fitted whole, the rest white,
 * by Pillow's Lanczos filter in 8 bits, to the bit.
 */
#ifndef LINUX_SCALE_H
#define LINUX_SCALE_H

#include <stdint.h>

#define LINUX_MOST_SIDE 16384u /* pixels along a side */
#define LINUX_MOST_PIXELS 50000000u /* as bitmar-tiny reads */

/* Begin a picture of width x height pixels, 1 to LINUX_MOST_SIDE each, for a square of side x side. */
void linux_scale_begin(unsigned width, unsigned height, unsigned side);

/* Take the next of its rows. rgb: [width][3]. */
void linux_scale_row(const uint8_t *rgb);

/* Write the square after the last row. rgb: [side][side][3]. */
void linux_scale_end(uint8_t *rgb);

#endif
