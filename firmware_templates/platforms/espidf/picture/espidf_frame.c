/* SPDX-License-Identifier: MIT-0 */
#include "espidf_frame.h"

#include "bm_patches.h"

static void widen(const uint8_t *rgb565, unsigned pixels, uint8_t *rgb)
{
    for (unsigned i = 0; i < pixels; i++, rgb565 += 2, rgb += 3) {
        const unsigned both = (unsigned)rgb565[0] << 8 | rgb565[1], r = both >> 11, g = both >> 5 & 63u,
                       b = both & 31u;
        rgb[0] = (uint8_t)(r << 3 | r >> 2);
        rgb[1] = (uint8_t)(g << 2 | g >> 4);
        rgb[2] = (uint8_t)(b << 3 | b >> 2);
    }
}

void espidf_frame_take(espidf_frame *f, const uint8_t *rgb565, unsigned width, unsigned height)
{
    const unsigned side = width < height ? width : height, left = (width - side) / 2u,
                   top = (height - side) / 2u;
    f->scale.across.weights = f->weights[0];
    f->scale.down.weights = f->weights[1];
    bm_scale_begin(&f->scale, side, side, bm_picture_side());
    for (unsigned y = 0; y < side; y++) {
        widen(rgb565 + ((size_t)(top + y) * width + left) * 2u, side, f->row);
        bm_scale_row(&f->scale, f->row);
    }
    bm_scale_end(&f->scale, f->square);
    bm_patches(f->square, f->patches);
}
