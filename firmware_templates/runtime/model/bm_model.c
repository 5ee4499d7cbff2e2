/* SPDX-License-Identifier: MIT-0 */
/* Init and episode: everything of the model but the image, the step and the head. */
#include "bm_internal.h"

#include <string.h>

#include "bm_bytes.h"
#include "bm_crc32.h"
#include "bm_selftest.h"

#define ARENA(s, type, place) ((type *)(void *)bm_arena_at(s, place))

const char *bm_status_text(bm_status status)
{
    switch (status) {
    case BM_OK: return "ok";
    case BM_ERR_BLOB: return "the model blob is damaged or was made for another build";
    case BM_ERR_ARENA: return "an arena is missing, too small or not aligned to 64 bytes";
    case BM_ERR_TOKEN: return "token id outside the vocabulary";
    case BM_ERR_IMAGE: return "the image features hold NaN or infinity";
    case BM_ERR_CPU: return "this processor lacks the instructions that this build uses";
    case BM_ERR_NUMERICS: return "the toolchain broke a numerics rule";
    case BM_ERR_KERNELS: return "the vector kernels compute something else than plain C on this processor";
    case BM_ERR_MEMORY: return "the memory's rows cannot be read or written";
    case BM_ERR_TOKENIZER: return "the model blob holds no usable tokenizer";
    }
    return "unknown status";
}

#ifdef BM_TAPS
void bm_tap_rows(
    bm_state *s, uint32_t id, const void *data, uint32_t rows, uint32_t row_bytes, uint32_t stride, int more)
{
    if (s->tap) s->tap(s->tap_context, id, data, rows, row_bytes, stride, more);
}
#endif

/* Header: "BMBL", version, size, CRC-32 of all that follows the header, SHA-256 of the frozen model, the
 * name of the order in which the weights lie. */
static bm_status check_blob(const uint8_t *blob, size_t size)
{
#if !BM_UPDATES /* else weights that were trained anew have another, and bm_update.h asks for their build */
    static const uint8_t digest[32] = BM_MODEL_DIGEST;
    if (blob && size >= BM_BLOB_HEADER && memcmp(blob + 16, digest, sizeof digest) != 0) return BM_ERR_BLOB;
#endif
    static const char layout[17] = BM_BLOB_LAYOUT;
    if (!blob || size < BM_BLOB_HEADER || ((uintptr_t)blob & 63u) != 0) return BM_ERR_BLOB;
    if (memcmp(blob, "BMBL", 4) != 0 || bm_get_u32(blob + 4) != BM_BLOB_VERSION) return BM_ERR_BLOB;
    if (bm_get_u32(blob + 8) != BM_BLOB_BYTES || size < BM_BLOB_BYTES) return BM_ERR_BLOB;
    if (memcmp(blob + 48, layout, 16) != 0) return BM_ERR_BLOB;
    if (bm_crc32(0, blob + BM_BLOB_HEADER, BM_BLOB_BYTES - BM_BLOB_HEADER) != bm_get_u32(blob + 12))
        return BM_ERR_BLOB;
    return BM_OK;
}

/* The plan counted on it. */
typedef char candidates_size[sizeof(bm_candidates) == BM_CANDIDATES_BYTES ? 1 : -1];

static void lay_out(bm_state *s)
{
    s->x = ARENA(s, float, BM_AT_X);
    s->fused = ARENA(s, float, BM_AT_FUSED);
    s->vec = ARENA(s, float, BM_AT_VEC);
    s->out = ARENA(s, float, BM_AT_OUT);
    s->scores = ARENA(s, float, BM_AT_SCORES);
    s->codes = ARENA(s, int8_t, BM_AT_CODES);
    s->q = ARENA(s, int8_t, BM_AT_Q);
    s->hidden = ARENA(s, int8_t, BM_AT_HIDDEN);
    s->acc = ARENA(s, int32_t, BM_AT_ACC);
    s->weights = ARENA(s, int32_t, BM_AT_WEIGHTS);
    s->pooled = ARENA(s, int32_t, BM_AT_POOLED);
#if BM_KEYED
    s->seen = ARENA(s, int32_t, BM_AT_SEEN);
#endif
    s->cond = ARENA(s, float, BM_AT_COND);
    s->head = ARENA(s, int8_t, BM_AT_HEAD);
    s->logits = ARENA(s, int32_t, BM_AT_LOGITS);
    s->candidates = ARENA(s, bm_candidates, BM_AT_CANDIDATES);
#if BM_CONVOLUTIONS
    s->picture = ARENA(s, float, BM_AT_PICTURE);
    s->sums = ARENA(s, int32_t, BM_AT_PICTURE);
    s->map = ARENA(s, int8_t, BM_AT_MAP);
    s->window = ARENA(s, int8_t, BM_AT_WINDOW);
    s->cell = ARENA(s, int32_t, BM_AT_CELL);
#endif
}

#if BM_MEMORY_IN_STORE
static void open_memory(bm_state *s) { s->memory_on = 0; /* until the platform brings it (bm_use_memory) */ }

void *bm_store_work(bm_state *s) { return bm_arena_at(s, BM_AT_STORE); }
#else
/* Rows as the blob has them: both planes, scales, usage. In flash they are read where they lie. */
static void open_memory(bm_state *s)
{
    const uint32_t plane = BM_SLOTS * BM_PAD(BM_D);
#if BM_MEMORY_IN_FLASH
    uint8_t *at = (uint8_t *)(uintptr_t)(s->blob + BM_OFF_MEMORY);  /* a read-only tier: nobody writes */
#else
    uint8_t *at = bm_arena_at(s, BM_AT_MEMORY);
    memcpy(at, s->blob + BM_OFF_MEMORY, BM_MEMORY_BYTES);
#endif
    const bm_memory_rows rows = {(int8_t *)(void *)at, (int8_t *)(void *)(at + plane),
        (float *)(void *)(at + 2u * plane), (uint32_t *)(void *)(at + 2u * plane + 4u * BM_SLOTS), BM_SLOTS,
        BM_D};
    s->rows = rows;
    s->memory.rows = bm_tier_of_rows(&s->rows, BM_MEMORY_IN_FLASH);
    s->memory_on = 1;
}
#endif

void bm_use_memory(bm_state *s, const bm_tier *rows)
{
    s->memory.rows = *rows;
    s->memory_on = 1;
}

static const size_t arena_bytes[BM_RAMS] = BM_RAM_BYTES;

void bm_ram_slice(void *memory, bm_ram ram[BM_RAMS])
{
    uint8_t *next = memory;
    for (uint32_t i = 0; i < BM_RAMS; i++) {
        ram[i].base = next;
        ram[i].size = arena_bytes[i];
        next += arena_bytes[i];
    }
}

static bm_status check_ram(bm_state *s, const bm_ram *ram)
{
    for (uint32_t i = 0; i < BM_RAMS; i++) {
        if (!ram[i].base || ram[i].size < arena_bytes[i] || ((uintptr_t)ram[i].base & 63u) != 0)
            return BM_ERR_ARENA;
        s->ram[i] = ram[i].base;
        memset(ram[i].base, 0, arena_bytes[i]);
    }
    return BM_OK;
}

#ifdef BM_TAPS
#define check_kernels(s) ((void)(s), 1)          /* verification says more: which element, and where */
#else
/* Their sum. */
static int32_t known_codes(int8_t *x, uint32_t width)
{
    int32_t sum = 0;
    memset(x, 0, BM_PAD(width));
    for (uint32_t k = 0; k < width; k++) {
        x[k] = (int8_t)((int32_t)((k * 37u + 11u) % 255u) - 127);
        sum += x[k];
    }
    return sum;
}

/* A product of known codes has the CRC-32 that lowering found for it. */
static int is_known(const bm_state *s, const int32_t *acc, uint32_t rows, uint32_t which)
{ return bm_crc32(0, (const uint8_t *)acc, 4u * rows) == bm_get_u32(s->blob + BM_OFF_CHECK + 4u * which); }

static int check_product(bm_state *s, uint32_t w, uint32_t rows, uint32_t width, uint32_t which)
{
    const int32_t sum = known_codes(s->hidden, width);
    bm_linear(s, w, rows, width, s->hidden, sum);
    return is_known(s, s->acc, rows, which);
}

static int check_head(bm_state *s)
{
    const uint32_t rows = BM_VOCAB < 32u ? BM_VOCAB : 32u;
    s->head_sum = known_codes(s->head, BM_D);
    bm_head_rows(s, rows, s->logits);
    s->head_sum = 0;
    memset(s->head, 0, BM_D);
    return is_known(s, s->logits, rows, 2u);
}

/* A kernel that was never run on this very processor has to show that it computes what plain C does; attention's
 * products are in bm_selftest. */
static int check_kernels(bm_state *s)
{
    return check_product(s, bm_layers[0].wqkv, BM_D + 2u * BM_KV_WIDTH, BM_D, 0) &&
           check_product(s, bm_layers[0].w2, BM_D, BM_FFN, 1u) && check_head(s);
}
#endif

bm_status bm_init(bm_state *s, const void *blob, size_t blob_size, const bm_ram ram[BM_RAMS])
{
    memset(s, 0, sizeof *s);
    if (!bm_kernels_supported()) return BM_ERR_CPU;
    if (bm_selftest()) return BM_ERR_NUMERICS;
    bm_status status = check_blob(blob, blob_size);
    if (status == BM_OK) status = check_ram(s, ram);
    if (status != BM_OK) return status;
    s->blob = blob;
    for (const bm_copy *c = bm_copies; c->bytes; c++)
        memcpy(bm_arena_at(s, c->to), s->blob + c->from, c->bytes);
    lay_out(s);
    s->memory.slots = BM_SLOTS;
    s->memory.width = BM_D;
    open_memory(s);
#if BM_STREAM_ROWS
    s->stream = &bm_stream_copy; /* until the platform chooses */
#endif
#if BM_TOKENIZER_BYTES
    if (bm_tokenizer_open(s->blob + BM_OFF_TOKENIZER, BM_TOKENIZER_BYTES, &s->tokenizer) != 0)
        return BM_ERR_TOKENIZER;
#endif
    if (!check_kernels(s)) return BM_ERR_KERNELS;
    bm_begin_episode(s);
    return BM_OK;
}

void bm_begin_episode(bm_state *s)
{
    s->t = 0;
    s->has_image = 0;
    memset(s->pooled, 0, BM_D * sizeof *s->pooled);
    memset(s->cond, 0, BM_DEC_LAYERS * BM_D * sizeof *s->cond);
    for (uint32_t i = 0; i < BM_ENC_LAYERS + BM_DEC_LAYERS; i++)
        memset(bm_arena_at(s, bm_layers[i].kv), 0,
            BM_KV_BYTES);  /* stale slots are never read; zero keeps dumps comparable */
}

#ifdef BM_TAPS
/* The new memory, one plane after the other; each time in an episode that changes nothing and is given up. */
static void tap_memory(bm_state *s)
{
    const bm_tier *tier = &s->memory.rows;
    for (uint32_t what = 0; what < 4u; what++) {
        if (tier->begin(tier->context) != BM_OK) return;
        for (uint32_t block = 0, done = 0; done < BM_SLOTS; block++) {
            bm_block_rows r;
            if (tier->get(tier->context, block, BM_TIER_CHANGE, &r) != BM_OK) return;
            done += r.n;
            const int more = done < BM_SLOTS;
            if (what == 0) BM_TAP_PART(s, BM_TAP_MEMORY_HIGH, r.high, r.n, BM_D, BM_PAD(BM_D), more);
            else if (what == 1u) BM_TAP_PART(s, BM_TAP_MEMORY_LOW, r.low, r.n, BM_D, BM_PAD(BM_D), more);
            else if (what == 2u) BM_TAP_PART(s, BM_TAP_MEMORY_SCALES, r.scales, 1u, 4u * r.n, 0u, more);
            else BM_TAP_PART(s, BM_TAP_MEMORY_USAGE, r.usage, 1u, 4u * r.n, 0u, more);
        }
    }
}
#else
#define tap_memory(s) ((void)(s))
#endif

#if BM_KEYED
static void tap_slot(void *context, uint32_t slot)
{
    const int32_t chosen = (int32_t)slot;
    BM_TAP((bm_state *)context, BM_TAP_WRITE_SLOT, &chosen, 1u);
    (void)context, (void)chosen;
}

const bm_keep_rule bm_keep = {BM_FIXED_SLOTS, BM_MATCH};

bm_q8 bm_episode_slot(bm_state *s)
{
    const bm_q8 key = bm_project(
        s, bm_source(s), BM_OFF_MEMORY_WK, BM_OFF_MEMORY_WK_SCALE, BM_TAP_WRITE_KEY_SOURCE, s->q);
    (void)bm_project(
        s, s->pooled, BM_OFF_MEMORY_WV, BM_OFF_MEMORY_WV_SCALE, BM_TAP_WRITE_VALUE_SOURCE, s->codes);
    return key;
}

static bm_status write_episode(bm_state *s)
{
    const bm_q8 key = bm_episode_slot(s);
    return bm_memory_keep(&s->memory, &bm_keep, s->q, key.scale, s->codes, tap_slot, s);
}
#else
/* Learned write scores of one block of slots: W_w q. */
static void write_scores(void *context, uint32_t first, uint32_t n, uint32_t pass, float *scores)
{
    bm_state *s = context;
    bm_linear(s, BM_OFF_MEMORY_WW + first * BM_ROW_BYTES(BM_D), n, BM_D, s->q, s->write_query.sum);
    if (pass == 0) BM_TAP_PART(s, BM_TAP_WRITE_ACC, s->acc, 1u, 4u * n, 0u, first + n < BM_SLOTS);
    bm_scale_acc(s->acc, s->write_query.scale * BM_F32(s, BM_OFF_MEMORY_WW_SCALE)[0], n, scores);
}

static void write_weights(void *context, uint32_t first, uint32_t n, const int32_t *w)
{
    BM_TAP_PART((bm_state *)context, BM_TAP_WRITE_WEIGHTS, w, 1u, 4u * n, 0u, first + n < BM_SLOTS);
    (void)context, (void)first, (void)n, (void)w;
}

static bm_status write_episode(bm_state *s)
{
    static const bm_write_rule rule = {BM_WRITE_RATE, BM_FORGET_RATE, BM_FORGET_BELOW, BM_WRITE_OUTER};
    const bm_write_source source = {write_scores, write_weights, s};
    s->write_query = bm_query(s);
    BM_TAP(s, BM_TAP_WRITE_QUERY, s->q, BM_D);
    return bm_memory_write(&s->memory, &rule, &source, s->q, s->write_query.scale, s->vec);
}
#endif

bm_status bm_end_episode(bm_state *s)
{
    if (!s->memory_on || !s->memory.rows.begin) return BM_OK;
    const bm_status status = write_episode(s);
    if (status != BM_OK) {
        s->memory_on = 0;
        return status;
    }
    tap_memory(s);
    return BM_OK;
}
