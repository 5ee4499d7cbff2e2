/* SPDX-License-Identifier: MIT-0 */
#include "caption.h"

#include "bitmar.h"
#include "bm_blob.h"
#include "bm_selftest.h"

#define MOST_TOKENS 24
#define PATCH 16u /* pixels along a side of one */

static uint8_t memory[BM_RAM_TOTAL] __attribute__((aligned(64)));
static bm_state model;
static bm_sampler sampler;

/* Your camera goes here: red, green or blue (channel 0 to 2) of a pixel of the square picture, `side` pixels wide. This one is
 * a red disc on white. */
static unsigned pixel(uint32_t side, uint32_t x, uint32_t y, uint32_t channel)
{
    const int32_t r = (int32_t)side, dx = 2 * (int32_t)x + 1 - r, dy = 2 * (int32_t)y + 1 - r;
    if (16 * (dx * dx + dy * dy) > 9 * r * r) return 255u; /* outside three quarters of the side */
    return channel == 0u ? 220u : 40u;
}

/* The same of the picture halved `times` times: the mean of 2x2 pixels, halves up. */
static unsigned halved(uint32_t times, uint32_t side, uint32_t x, uint32_t y, uint32_t channel)
{
    if (times == 0u) return pixel(side, x, y, channel);
    unsigned sum = 2u;
    for (uint32_t i = 0; i < 4u; i++)
        sum += halved(times - 1u, side, 2u * x + (i & 1u), 2u * y + (i >> 1), channel);
    return sum / 4u;
}

/* Vector `index` of the picture: a patch of 16x16 pixels, row by row; behind those of the picture those of its halves. The
 * model reads one at a time, so that the picture never lies in memory as a whole. */
static const float *patch(void *context, uint32_t index, uint32_t side)
{
    static uint8_t bytes[BM_VISION];
    static float vectors[2][BM_VISION];
    const uint32_t whole = BM_IMAGE_GRID * (BM_IMAGE_POOL == 2 ? 2u : 1u); /* patches along a side */
    uint32_t times = 0, grid = whole, n = 0;
    for (; index >= grid * grid && grid > 1u; grid /= 2u, times++) index -= grid * grid;
    const uint32_t left = index % grid * PATCH, top = index / grid * PATCH;
    (void)context;
    for (uint32_t y = 0; y < PATCH; y++)
        for (uint32_t x = 0; x < PATCH; x++)
            for (uint32_t c = 0; c < 3u; c++)
                bytes[n++] = (uint8_t)halved(times, whole * PATCH, left + x, top + y, c);
    bm_pixels(bytes, BM_VISION, vectors[side]);
    return vectors[side];
}

const char *caption_start(void)
{
    bm_ram ram[BM_RAMS];
    bm_ram_slice(memory, ram);
    const bm_status status = bm_init(&model, bm_blob, BM_BLOB_BYTES, ram);
    if (status == BM_ERR_NUMERICS) return bm_selftest();
    return status == BM_OK ? NULL : bm_status_text(status);
}

const char *caption(caption_say say)
{
    bm_begin_episode(&model);
    bm_status status = bm_set_image_from(&model, patch, NULL);
    bm_sampler_init(&sampler, 0.0f, 1u, 0u); /* temperature 0: the likeliest token */
    uint32_t token = model.tokenizer.eos;
    for (int i = 0; i < MOST_TOKENS && status == BM_OK; i++) {
        size_t length = 0;
        status = bm_step(&model, token);
        token = bm_pick(&model, &sampler);
        if (token == model.tokenizer.eos) break;
        const uint8_t *text = bm_tokenizer_decode(&model.tokenizer, token, &length);
        if (text) say((const char *)text, length);
    }
    return status == BM_OK ? NULL : bm_status_text(status);
}
