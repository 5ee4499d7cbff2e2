/* SPDX-License-Identifier: MIT-0 */
/* The episodic memory on a card, in a file or in raw flash: crash-safe, checked, read block by block (docs/explanation/memory-store.md).
 *
 *   bm_store store;
 *   bm_store_open(&store, &device, BM_SLOTS, BM_C, digest, buffers);   buffers: BM_STORE_BUFFERS(BM_C) bytes, aligned to 64
 *   const bm_tier rows = bm_store_tier(&store);
 *   bm_use_memory(&s, &rows);
 *
 * An episode writes beside what is live and becomes the memory with one commit record: a power cut at any moment leaves
 * the memory before the episode or the one after it. Every byte that is read is checked. Little-endian processors only.
 */
#ifndef BM_STORE_H
#define BM_STORE_H

#include "bm_store_format.h"
#include "bm_tier.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    BM_STORE_OK = 0,
    BM_STORE_MISSING, /* there is no such file or device */
    BM_STORE_PERMISSION,
    BM_STORE_BUSY, /* another program has it open */
    BM_STORE_READ_ONLY,
    BM_STORE_FULL,
    BM_STORE_SHORT, /* the device ends before the store does */
    BM_STORE_IO,
    BM_STORE_TIMEOUT,
    BM_STORE_BLANK, /* no header, nothing but erased bytes */
    BM_STORE_FOREIGN,
    BM_STORE_NEWER,
    BM_STORE_SHAPE, /* other slots or width */
    BM_STORE_MODEL,
    BM_STORE_DAMAGED, /* bm_store.piece says what */
    BM_STORE_ORDER, /* blocks not in ascending order, or outside begin and commit */
    BM_STORE_BUFFERS_BAD /* missing, or not aligned to 64 bytes */
} bm_store_status;

/* One sentence for a status. */
const char *bm_store_text(bm_store_status status);

/* Where the store lies. Offsets and sizes are bytes. Every write is whole units of BM_STORE_UNIT bytes at a multiple of them. */
typedef struct {
    bm_store_status (*read)(void *context, uint64_t offset, void *to, uint32_t n);
    bm_store_status (*write)(
        void *context, uint64_t offset, const void *from, uint32_t n); /* NULL: read-only */
    bm_store_status (*sync)(
        void *context); /* all writes before it outlast a power cut; of later ones any part may */
    /* The next read into `to` will be this one: the device may begin now. NULL where a device cannot. At most two at a time. */
    void (*prefetch)(void *context, uint64_t offset, void *to, uint32_t n);
    void *context;
    uint64_t size;
} bm_store_device;

/* A part of the store that can be damaged. */
typedef enum {
    BM_PIECE_HEADER, /* index: copy */
    BM_PIECE_RECORD, /* index: copy of the newest commit record */
    BM_PIECE_STATE, /* index: group; scales and usage of its rows */
    BM_PIECE_HIGH, /* index: block */
    BM_PIECE_LOW
} bm_store_kind;

typedef struct {
    bm_store_kind kind;
    uint32_t index;
} bm_store_piece;

/* "high bytes of block", for example: the index follows. */
const char *bm_store_kind_text(bm_store_kind kind);

/* What the last episode wrote. */
typedef struct {
    uint64_t bytes;
    uint32_t writes, syncs;
} bm_store_counters;

/* A block or a group in RAM, or on its way there. */
typedef struct {
    uint8_t *bytes;
    uint32_t index; /* BM_STORE_NONE: nothing of use */
    uint32_t n;
    uint64_t offset; /* of a read that was begun */
    int pending;
} bm_store_buffer;

typedef struct {
    bm_store_device device;
    bm_store_layout at;
    uint64_t sequence; /* of the live memory */
    bm_store_buffer state[2], plane[2];
    bm_store_status status; /* why the last call failed */
    bm_store_piece piece; /* what is damaged, if that is why */
    bm_store_counters episode;
    bm_traffic traffic;
    uint32_t bad_headers,
        bad_records; /* bit: copy that is damaged or behind; mended when the next episode begins */
    uint32_t next_group, next_block; /* of the episode: those below are done */
    uint32_t changing; /* block that was got last to be changed */
    int mounted, settled, writing;
} bm_store;

#define BM_STORE_NONE 0xFFFFFFFFu
#define BM_STORE_BUFFERS(width) (2u * BM_STORE_UNIT + 2u * BM_STORE_PLANE(width))

/* Open the store of a model: header, then the newest commit record. digest: SHA-256 of the frozen model, 32 bytes. */
bm_store_status bm_store_open(bm_store *s, const bm_store_device *device, uint32_t slots, uint32_t width,
    const uint8_t *digest, void *buffers);

/* Its rows, for bm_use_memory; read-only where the device is. `s` must stay. BM_ERR_MEMORY: bm_store.status says why. After a
 * commit that failed, the memory is the one before or the one after the episode, as the device then has it. */
bm_tier bm_store_tier(bm_store *s);

/* Read everything that is live; `found` is called for every damaged piece. BM_STORE_DAMAGED if there was one. */
bm_store_status bm_store_verify(
    bm_store *s, void (*found)(void *context, bm_store_piece piece), void *context);

#ifdef __cplusplus
}
#endif
#endif
