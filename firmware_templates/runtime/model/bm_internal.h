/* SPDX-License-Identifier: MIT-0 */
/* Shared by the model's own sources: blob and arena access, taps, and the blocks of the step. */
#ifndef BM_INTERNAL_H
#define BM_INTERNAL_H

#include "bitmar.h"
#include "bm_kernels.h"

/* What lies at a place that may be in the blob, and at one in an arena. */
static inline const uint8_t *bm_at(const bm_state *s, uint32_t place)
{
    const uint32_t region = place >> BM_PLACE_BITS;
    return (region ? s->ram[region - 1u] : s->blob) + (place & ((1u << BM_PLACE_BITS) - 1u));
}

static inline uint8_t *bm_arena_at(const bm_state *s, uint32_t place)
{ return s->ram[(place >> BM_PLACE_BITS) - 1u] + (place & ((1u << BM_PLACE_BITS) - 1u)); }

#define BM_F32(s, place) ((const float *)(const void *)bm_at(s, place))
#define BM_I8(s, place) ((const int8_t *)(const void *)bm_at(s, place))

#ifdef BM_TAPS
void bm_tap_rows(
    bm_state *s, uint32_t id, const void *data, uint32_t rows, uint32_t row_bytes, uint32_t stride, int more);
#define BM_TAP_PART(s, id, data, rows, bytes, stride, more) \
    bm_tap_rows(s, id, data, rows, bytes, stride, more)
void bm_tap_logits(bm_state *s, uint32_t id);
#else
#define BM_TAP_PART(s, id, data, rows, bytes, stride, more) ((void)(id))
#define bm_tap_logits(s, id) ((void)(id))
#endif
#define BM_TAP_ROWS(s, id, data, rows, bytes, stride) BM_TAP_PART(s, id, data, rows, bytes, stride, 0)
#define BM_TAP(s, id, data, n) BM_TAP_ROWS(s, id, data, 1u, (uint32_t)((n) * sizeof *(data)), 0u)

#ifdef BM_PROFILE
#define BM_MARK(s, part) ((s)->mark ? (s)->mark((s)->mark_context, (part)) : (void)0)
#define BM_SECTION(s, n) (BM_MARK(s, BM_PART_OTHER), (void)((s)->section = (n)))
#else
#define BM_MARK(s, part) ((void)(s))
#define BM_SECTION(s, n) ((void)(s))
#endif

/* The cache of `slots` slots at a place: k [slots][CACHE_ROW(KV_WIDTH)], v, k_scale [slots], v_scale. */
bm_cache bm_cache_at(bm_state *s, uint32_t place, uint32_t slots);

/* One key or value of a cache from its accumulators [BM_KV_WIDTH]: quantised in s->q, since bm_quantize clears more than
 * the row's padding. Returns its scale. */
float bm_cache_row(bm_state *s, const int32_t *acc, float scale, int8_t *row);

#define BM_ROW_BYTES(width) (((width) + 63u) / 64u * 16u)
#define BM_PACKED_ROWS(n) (((n) + BM_ROW_GROUP - 1u) / BM_ROW_GROUP * BM_ROW_GROUP)

/* The rows of one part of a split matrix: whole groups, which every packing stores in order. */
typedef struct {
    uint32_t first, end;
} bm_rows;
bm_rows bm_part_rows(uint32_t rows, uint32_t part, uint32_t parts);

/* acc [rows] = W codes for packed W [rows][width], by all threads there are. */
void bm_product(bm_state *s, const uint8_t *w, uint32_t rows, uint32_t width, const int8_t *codes,
    int32_t sum, int32_t *acc);

/* s->acc [rows] = W codes, where W is the packed matrix [rows][width] at place w and sum is the codes' sum. */
void bm_linear(bm_state *s, uint32_t w, uint32_t rows, uint32_t width, const int8_t *codes, int32_t sum);

#if BM_HEAD_T5
#define BM_HEAD_ROW ((BM_D + 4u) / 5u) /* bytes; not of a head that skips */
#else
#define BM_HEAD_ROW BM_ROW_BYTES(BM_D)
#endif

#if BM_STREAM_ROWS
/* The block of a thread that is on its way. */
typedef struct {
    const uint8_t *at; /* where it will be */
    uint32_t thread, buffer; /* that the block behind it comes to */
} bm_stream_block;

/* Ask for n rows of the head from `first` on (none if n = 0), by the way that s has. */
void bm_stream_begin(bm_state *s, bm_stream_block *b, uint32_t thread, uint32_t first, uint32_t n);
/* Wait for them, and ask for the next ones. Returns where they are; they stay until the next call but one. */
const uint8_t *bm_stream_next(bm_state *s, bm_stream_block *b, uint32_t first, uint32_t n);
#endif

/* The candidates among the first `rows` tokens: whole groups, or all. */
void bm_head_best(bm_state *s, uint32_t rows, bm_candidates *best);

/* acc [BM_PAD_ROWS(n)] = the first n integer logits of s->head. */
void bm_head_rows(bm_state *s, uint32_t n, int32_t *acc);

/* s->x = E[token]; with a table of 4 bits s->codes is overwritten. */
void bm_embed(bm_state *s, uint32_t token);

/* The picture in s->picture -> codes of the last convolution in s->map, a vector for each image token. Returns their scale. */
float bm_convolve(bm_state *s);

/* One pre-norm block on s->x with the KV cache of this layer. `tap` is the id of its first tap. */
void bm_block(bm_state *s, const bm_layer *layer, uint32_t tap);

/* s->fused = z + cross-attention(z, image), layer after layer; z = s->x at first. */
void bm_fuse(bm_state *s);

/* Add the fused state to the pooled query. */
void bm_pool(bm_state *s);

/* q: normalised mean of the fused states so far, as codes in s->q. */
bm_q8 bm_query(bm_state *s);

#if BM_KEYED
/* What a keyed memory is asked with: the picture where there is one, else the text so far. [D] */
const int32_t *bm_source(const bm_state *s);

/* norm(W norm(sums [D])) as codes, for the ternary matrix at place w; `tap` is the id of the first of three taps. */
bm_q8 bm_project(bm_state *s, const int32_t *sums, uint32_t w, uint32_t scale, uint32_t tap, int8_t *codes);

/* What the episode leaves in the memory: its key in s->q (returned: its scale and sum), its value in s->codes. */
bm_q8 bm_episode_slot(bm_state *s);

/* Which slot that is written into. */
extern const bm_keep_rule bm_keep;
#endif

/* Read the memory; leaves M_r as codes in s->codes for the layers' projections. */
bm_status bm_read(bm_state *s, bm_q8 *r);

/* cond[layer] = W_m M_r. */
void bm_condition(bm_state *s, uint32_t layer, uint32_t wm, uint32_t scale, bm_q8 r, uint32_t tap);

#endif
