/* SPDX-License-Identifier: MIT-0 */
/* From a picture to the keys and values that fusion looks at. */
#include "bm_internal.h"

#include <string.h>

/* Slot j of one fusion layer's image cache, from the normalised image token in s->codes. */
static void image_slot(bm_state *s, const bm_fusion *layer, uint32_t j, bm_q8 h)
{
    const float *scale = BM_F32(s, layer->scales);
    const bm_cache image = bm_cache_at(s, layer->image, BM_IMAGE_TOKENS);
    bm_linear(s, layer->wk, image.width, BM_D, s->codes, h.sum);
    image.k_scale[j] = bm_cache_row(s, s->acc, h.scale * scale[1], image.k + j * BM_CACHE_ROW(image.width));
    bm_linear(s, layer->wv, image.width, BM_D, s->codes, h.sum);
    image.v_scale[j] = bm_cache_row(s, s->acc, h.scale * scale[2], image.v + j * BM_CACHE_ROW(image.width));
}

/* What the front end made of image token j, codes in s->hidden -> cached keys and values. */
static void image_token(bm_state *s, uint32_t j, bm_q8 hidden)
{
    const float *scale = BM_F32(s, BM_OFF_VISION_SCALES);
    bm_linear(s, BM_OFF_VISION_W2, BM_D, BM_VISION_WIDTH, s->hidden, hidden.sum);
    bm_scale_acc(s->acc, hidden.scale * scale[BM_CONVOLUTIONS ? 0 : 1], BM_D, s->vec);
    bm_add_row(BM_I8(s, BM_OFF_IMAGE_POSITION_CODES) + j * BM_D, BM_F32(s, BM_OFF_IMAGE_POSITION_SCALES)[j],
        BM_D, s->vec);
    BM_TAP(s, BM_TAP_IMAGE_TOKEN, s->vec, BM_D);
    const bm_q8 h = bm_norm_quantize(s->vec, BM_F32(s, BM_OFF_IMAGE_NORM), BM_D, s->codes);
    BM_TAP(s, BM_TAP_IMAGE_NORM_CODES, s->codes, BM_D);
#if BM_KEYED
    for (uint32_t i = 0; i < BM_D; i++) s->seen[i] += s->codes[i];
#endif
    for (uint32_t i = 0; i < BM_FUSION_LAYERS; i++) image_slot(s, &bm_fusion_layers[i], j, h);
}

#if BM_CONVOLUTIONS
/* Patch j takes its place in the picture, which is looked at when it is complete. */
static void take(bm_state *s, uint32_t j, const float *patch) { bm_ink(patch, j, BM_IMAGE_GRID, s->picture); }

static void complete(bm_state *s)
{
    const float scale = bm_convolve(s);
    for (uint32_t j = 0; j < BM_IMAGE_TOKENS; j++) {
        bm_q8 hidden = {scale, 0};
        memset(s->hidden, 0, BM_PAD(BM_VISION_WIDTH));
        memcpy(s->hidden, s->map + j * BM_VISION_WIDTH, BM_VISION_WIDTH);
        for (uint32_t i = 0; i < BM_VISION_WIDTH; i++) hidden.sum += s->hidden[i];
        image_token(s, j, hidden);
    }
}
#else
/* One pooled image vector, compressed alone. */
static void take(bm_state *s, uint32_t j, const float *input)
{
    BM_TAP(s, BM_TAP_IMAGE_INPUT, input, BM_VISION);
    const bm_q8 h = bm_quantize(input, BM_VISION, s->codes);
    BM_TAP(s, BM_TAP_IMAGE_CODES, s->codes, BM_VISION);
    bm_linear(s, BM_OFF_VISION_W1, BM_VISION_WIDTH, BM_VISION, s->codes, h.sum);
    bm_scale_acc(s->acc, h.scale * BM_F32(s, BM_OFF_VISION_SCALES)[0], BM_VISION_WIDTH, s->vec);
    bm_relu(BM_VISION_WIDTH, s->vec);
    const bm_q8 hidden = bm_quantize(s->vec, BM_VISION_WIDTH, s->hidden);
    BM_TAP(s, BM_TAP_IMAGE_HIDDEN, s->hidden, BM_VISION_WIDTH);
    image_token(s, j, hidden);
}

static void complete(bm_state *s) { (void)s; }
#endif

/* Vector j of the pooled grid (paper 3.2), or of the input itself; NULL if the source has no more. */
static const float *image_vector(bm_state *s, bm_vector_fn source, void *context, uint32_t j)
{
#if BM_IMAGE_POOL == 2
    const uint32_t g = 2u * BM_IMAGE_GRID, first = (j / BM_IMAGE_GRID * g + j % BM_IMAGE_GRID) * 2u;
    for (uint32_t row = 0; row < 2u; row++) {
        const float *a = source(context, first + row * g, 0), *b = source(context, first + row * g + 1u, 1u);
        if (!a || !b) return NULL;
        for (uint32_t i = 0; i < BM_VISION; i++)
            s->out[i] = row ? (s->out[i] + (a[i] + b[i])) * 0.25f : a[i] + b[i];
    }
    return s->out;
#else
    (void)s;
    return source(context, j, 0);
#endif
}

static void tap_image(bm_state *s, const bm_fusion *layer)
{
    const bm_cache image = bm_cache_at(s, layer->image, BM_IMAGE_TOKENS);
    BM_TAP_ROWS(s, layer->image_tap + BM_TAP_FUSION_IMAGE_K, image.k, BM_IMAGE_TOKENS, image.width,
        BM_CACHE_ROW(image.width));
    BM_TAP(s, layer->image_tap + BM_TAP_FUSION_IMAGE_K_SCALE, image.k_scale, BM_IMAGE_TOKENS);
    BM_TAP_ROWS(s, layer->image_tap + BM_TAP_FUSION_IMAGE_V, image.v, BM_IMAGE_TOKENS, image.width,
        BM_CACHE_ROW(image.width));
    BM_TAP(s, layer->image_tap + BM_TAP_FUSION_IMAGE_V_SCALE, image.v_scale, BM_IMAGE_TOKENS);
    (void)image;
}

static int is_usable(const float *v)
{
    for (uint32_t i = 0; i < BM_VISION; i++)
        if (!(v[i] >= -1e18f && v[i] <= 1e18f)) return 0;
    return 1;
}

bm_status bm_set_image_from(bm_state *s, bm_vector_fn source, void *context)
{
    s->has_image = 0;                            /* until all of it is there */
#if BM_KEYED
    memset(s->seen, 0, BM_D * sizeof *s->seen);
#endif
    for (uint32_t j = 0; j < BM_IMAGE_TOKENS; j++) {
        const float *vector = image_vector(s, source, context, j);
        if (!vector || !is_usable(vector)) return BM_ERR_IMAGE;
        take(s, j, vector);
    }
    complete(s);
    for (uint32_t i = 0; i < BM_FUSION_LAYERS; i++) tap_image(s, &bm_fusion_layers[i]);
#if BM_KEYED
    BM_TAP(s, BM_TAP_IMAGE_SUM, s->seen, BM_D);
#endif
    s->has_image = 1;
    return BM_OK;
}

static const float *from_features(void *context, uint32_t index, uint32_t side)
{
    (void)side;
    return (const float *)context + index * BM_VISION;
}

bm_status bm_set_image(bm_state *s, const float *features)
{
    for (uint32_t i = 0; i < BM_IMAGE_INPUTS; i++)
        if (!is_usable(features + i * BM_VISION))
            return BM_ERR_IMAGE;   /* before the image of now is given up */
    return bm_set_image_from(s, from_features, (void *)(uintptr_t)features);
}

bm_status bm_set_image_pixels(bm_state *s, const uint8_t *patches, float *features)
{
    bm_pixels(patches, BM_IMAGE_INPUTS * BM_VISION, features);
    return bm_set_image(s, features);
}
