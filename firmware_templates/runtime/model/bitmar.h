/* SPDX-License-Identifier: MIT-0 */
/* BitMar on a board: the public interface.
 *
 *   static uint8_t memory[BM_RAM_TOTAL] aligned to 64;   or one array for each of the BM_RAMS regions that the plan uses
 *   bm_ram ram[BM_RAMS];
 *   bm_ram_slice(memory, ram);
 *   bm_state s;
 *   bm_init(&s, blob, blob_size, ram);                   once; checks everything, allocates nothing
 *   bm_set_image(&s, features);                          optional, once per episode
 *   bm_step(&s, token);  bm_pick(&s, &sampler)           once per token
 *   bm_end_episode(&s);                                  writes the episode into the memory
 *   bm_begin_episode(&s);                                forgets the stream, keeps the memory
 *
 * Sizes are compile-time constants in bm_config.h, which codegen writes for one model and one board.
 */
#ifndef BITMAR_H
#define BITMAR_H

#include <stddef.h>
#include <stdint.h>

#include "bm_arch.h"
#include "bm_config.h"
#include "bm_memory.h"
#include "bm_numerics.h"
#include "bm_sampler.h"
#include "bm_status.h"
#include "bm_stream.h"
#include "bm_tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_VISION 768u              /* width of one image feature vector (paper 3.2) */
#define BM_POOL_MAX (1u << 23)      /* tokens after which the pooled query stops growing */

/* A place is a region in the upper 4 bits (0: the blob as it is stored, i + 1: arena i) and an offset in the others. */
#define BM_PLACE_BITS 28u

extern const bm_layer bm_layers[BM_ENC_LAYERS + BM_DEC_LAYERS];
extern const bm_fusion bm_fusion_layers[BM_FUSION_LAYERS];
#if BM_CONVOLUTIONS
extern const bm_convolution bm_convolutions[BM_CONVOLUTIONS];
#endif

/* Weights that are read so often that bm_init copies them to faster memory. */
typedef struct {
    uint32_t from, to, bytes; /* offset into the blob; place */
} bm_copy;

extern const bm_copy bm_copies[BM_COPIES + 1u]; /* the last one has 0 bytes */

/* One region of memory for what changes and for copies: at least BM_RAM_<i>_BYTES, aligned to 64. */
typedef struct {
    void *base;
    size_t size;
} bm_ram;

/* Called with every intermediate tensor of a build with BM_TAPS: `rows` rows of `row_bytes`, `stride` apart.
 * more: the tensor goes on with the next call. */
typedef void (*bm_tap_fn)(void *context, uint32_t id, const void *data, uint32_t rows, uint32_t row_bytes,
    uint32_t stride, int more);

/* Parts of a step, as a build with BM_PROFILE reports them: called at the end of each piece of work. */
enum { BM_PART_OTHER, BM_PART_GEMV, BM_PART_ATTENTION, BM_PART_MEMORY, BM_PART_HEAD, BM_PART_PICK, BM_PARTS };
typedef void (*bm_mark_fn)(void *context, uint32_t part);

/* Work that can be done in parts, each by a thread of its own: part 0 .. parts - 1. A platform with threads sets
 * bm_state.split to a function that runs all parts and returns when they are done. */
typedef void (*bm_part_fn)(void *job, uint32_t part, uint32_t parts);
typedef void (*bm_split_fn)(bm_part_fn work, void *job);

/* Everything that changes while the model runs. All pointers point into the arenas. */
typedef struct {
    const uint8_t *blob;
    uint8_t *ram[BM_RAMS];
    uint32_t t; /* tokens so far in this episode */
    int has_image;
    int memory_on; /* 0: leave the memory unread and unwritten */
    float logit_scale; /* float logit = acc * logit_scale */
    float *x; /* [D] residual stream */
    float *fused; /* [D] */
    float *vec; /* [max(D, VISION_WIDTH, C)] scratch */
    float *out; /* [max(D, 768)] attention output; pooled image vectors */
    float *scores; /* [threads][SCORES] */
    int8_t *codes; /* [PAD(max(D, 768, VISION_WIDTH))] input of the next BitLinear */
    int8_t *q; /* [PAD(D)] */
    int8_t *hidden; /* [PAD(max(FFN, VISION_WIDTH))] */
    int32_t *acc; /* [rows of the tallest matrix but the head] */
    int32_t *weights; /* [threads][SCORES] */
    int32_t *pooled; /* [D] sum of the codes of the fused states */
    int32_t *seen; /* [D] sum of the normalised codes of the image; of a keyed memory alone */
    float *cond; /* [N_DEC][D] memory conditioning per decoder layer */
    int8_t *head; /* [PAD(D)] input of the head: the logits of the last step are computed on demand */
    int32_t head_sum; /* of its codes */
    int32_t *logits; /* [BM_HEAD_ROWS] integer logits, a piece at a time */
    bm_candidates *candidates; /* [BM_THREADS] what each thread found */
#if BM_CONVOLUTIONS
    float *picture; /* [side * side * 3] 1 - pixel, at the same place as sums */
    int32_t *sums; /* [cells of the largest map * channels] of a convolution, pooled */
    int8_t *map; /* [PAD(cells * channels)] codes of the picture, then of each convolution */
    int8_t *window; /* [threads][PAD(9 * channels)] codes under a convolution */
    int32_t *cell; /* [threads][PAD_ROWS(channels)] accumulators of one cell */
#endif
    bm_memory memory;
    bm_memory_rows rows; /* of a memory in an arena or in the blob */
    bm_q8 write_query; /* scale and sum of the codes in q, while an episode is written */
    bm_tokenizer tokenizer;
    bm_tap_fn tap; /* BM_TAPS builds only; may be NULL */
    void *tap_context;
    bm_split_fn split; /* NULL: one thread */
#if BM_STREAM_ROWS
    const bm_stream *stream; /* NULL: the head is read where it lies */
    char streams
        [BM_STREAM_TEXT]; /* " name=kB/s" of every way that was measured, the one that is taken first */
#endif
    bm_mark_fn mark; /* BM_PROFILE builds only; may be NULL */
    void *mark_context;
    uint32_t
        section; /* of the step that is at work: embed, encoder layers, fusion, memory, decoder layers, head */
} bm_state;

/* Cut one block of BM_RAM_TOTAL bytes into the arenas, where all memory is alike. */
void bm_ram_slice(void *memory, bm_ram ram[BM_RAMS]);

/* Check the blob (magic, version, size, CRC-32, identity), the processor and the arithmetic, lay the
 * arenas out, copy what the plan wants in faster memory, load the memory and begin an episode. `blob` must stay mapped. */
bm_status bm_init(bm_state *s, const void *blob, size_t blob_size, const bm_ram ram[BM_RAMS]);

#if BM_STREAM_ROWS
/* Where the head lies, BM_HEAD_BYTES of it. */
const uint8_t *bm_head_weights(const bm_state *s);

/* Measure each of `count` ways (at most BM_STREAM_WAYS) to stream the head, and to read it where it lies; take the quickest of
 * those that give the same candidates. clock: ticks of clock_hz, at least 10^6. Once, when all threads are there: some ms. */
typedef uint64_t (*bm_clock_fn)(void *user);
void bm_stream_choose(bm_state *s, const bm_stream *const *ways, uint32_t count, bm_clock_fn clock,
    void *user, uint32_t clock_hz);
#endif

/* SHA-256 of the frozen model that runs, 32 bytes. */
static inline const uint8_t *bm_model_digest(const bm_state *s) { return s->blob + 16; }

/* Start a new stream: position, caches, image and pooled query are forgotten, the memory stays. */
void bm_begin_episode(bm_state *s);

/* features: [BM_IMAGE_INPUTS][768], finite. Keys and values are cached for the episode. */
bm_status bm_set_image(bm_state *s, const float *features);
/* The same, vector by vector where there is no room for all of them. `source` gives vector `index` of BM_IMAGE_INPUTS, [768];
 * two of them are added, so what it gave for the other `side` (0 or 1) must stay. NULL: there is none, and no image. */
typedef const float *(*bm_vector_fn)(void *context, uint32_t index, uint32_t side);
bm_status bm_set_image_from(bm_state *s, bm_vector_fn source, void *context);
/* The same from raw uint8 patches [BM_IMAGE_INPUTS][768]; features: scratch of as many floats. */
bm_status bm_set_image_pixels(bm_state *s, const uint8_t *patches, float *features);

/* Use a memory whose rows the platform keeps, for a build whose memory is in a store (BM_MEMORY_IN_STORE). */
void bm_use_memory(bm_state *s, const bm_tier *rows);
/* Where such a build has room for its store to work in (bm_store_open). */
void *bm_store_work(bm_state *s);

/* Advance by one token. BM_ERR_MEMORY: the token was taken, but the memory could not be read; it is switched off (memory_on),
 * so that the caller may go on without it. The head is not computed here: a prompt does not pay for logits that nobody reads. */
bm_status bm_step(bm_state *s, uint32_t token);

/* Choose the next token from the last step. */
uint32_t bm_pick(bm_state *s, bm_sampler *sampler);

/* Show `visit` the integer logits of the last step: ids first .. first + n - 1 at a time, ascending.
 * Float logit = acc * s->logit_scale. */
typedef void (*bm_logits_fn)(void *context, uint32_t first, const int32_t *acc, uint32_t n);
void bm_logits(bm_state *s, bm_logits_fn visit, void *context);

/* Write the episode into the memory (soft multi-slot write, then usage-based forgetting; or whole into one slot), unless it is switched off or
 * read-only. BM_ERR_MEMORY: it is as it was before, or switched off. */
bm_status bm_end_episode(bm_state *s);

#ifdef __cplusplus
}
#endif
#endif
