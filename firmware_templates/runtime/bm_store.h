/* The episodic memory on a block device: larger than RAM, kept over power cuts, never half-written.
 *
 * Every block has two homes. An episode writes what it changes into the homes that are not live, syncs, and then writes a commit
 * record that says which homes live now, twice, and syncs. Power lost at any moment leaves the memory before the episode or
 * the memory after it; nothing is replayed when it is mounted. Every block and record carries a CRC-32 and says what it is.
 * Byte for byte: docs/memory-store.md. Little-endian machines only.
 */
#ifndef BM_STORE_H
#define BM_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "bm_tier.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_STORE_VERSION 1u
#define BM_STORE_RING 8u          /* places of commit records, used in turn */
#define BM_STORE_STATE_ROWS 512u  /* rows whose scales and usage make a block */
#define BM_STORE_TRAILER 32u
#define BM_STORE_UNIT 512u        /* devices are read and written in multiples of it */

typedef enum {
    BM_STORE_OK = 0,
    BM_STORE_IO = -1,        /* the device refused to read or write */
    BM_STORE_READ_ONLY = -2,
    BM_STORE_MISSING = -3,   /* nothing but zeros or erased flash */
    BM_STORE_FOREIGN = -4,   /* something else is there */
    BM_STORE_NEWER = -5,     /* a format of a later version */
    BM_STORE_SHAPE = -6,     /* rows of another number or width */
    BM_STORE_MODEL = -7,     /* the memory of another model */
    BM_STORE_SHORT = -8,     /* the device is smaller than the store on it, or than a store needs */
    BM_STORE_DAMAGED = -9,   /* a block is not what was written; bm_store.bad says which */
    BM_STORE_NO_COMMIT = -10 /* no commit record is whole */
} bm_store_status;

/* One sentence for a status. */
const char *bm_store_text(bm_store_status status);

/* A block device. Functions return 0, or not if they failed; `at` and `n` are multiples of BM_STORE_UNIT. */
typedef struct {
    /* Begin to read into a buffer that stays; at most two at a time. */
    int (*fetch)(void *context, uint64_t at, void *to, uint32_t n);
    /* Until all that was begun is there. */
    int (*wait)(void *context);
    int (*write)(void *context, uint64_t at, const void *from, uint32_t n);
    int (*sync)(void *context);
    void *context;
    uint64_t size;           /* bytes */
    uint32_t sector;         /* what it erases or writes as one: 512, 4096 for flash */
    int read_only;
} bm_device;

#define BM_STORE_ALIGN(n, to) (((n) + (to) - 1u) / (to) * (to))
#define BM_STORE_ROWS_BYTES(width) BM_STORE_ALIGN(64u * BM_STORE_ALIGN(width, 64u) + BM_STORE_TRAILER, BM_STORE_UNIT)
#define BM_STORE_STATE_BYTES BM_STORE_ALIGN(8u * BM_STORE_STATE_ROWS + BM_STORE_TRAILER, BM_STORE_UNIT)
#define BM_STORE_BITMAP(slots) ((((slots) + 63u) / 64u + ((slots) + BM_STORE_STATE_ROWS - 1u) / BM_STORE_STATE_ROWS + 31u) / 32u * 4u)
/* Working memory of a store, aligned to 64: two blocks of rows, two of state, two bitmaps. */
#define BM_STORE_WORK(slots, width) \
    (2u * BM_STORE_ROWS_BYTES(width) + 2u * BM_STORE_STATE_BYTES + BM_STORE_ALIGN(2u * BM_STORE_BITMAP(slots), 64u))

/* What kind of block, record or header. */
enum { BM_STORE_HEADER, BM_STORE_RECORD, BM_STORE_HIGH, BM_STORE_LOW, BM_STORE_STATE };

typedef struct {
    uint32_t kind, index, home;
} bm_store_place;

typedef struct {
    uint8_t *bytes;
    uint32_t index;          /* of the block in it; BM_STORE_NONE */
    int checked;             /* its CRC was */
} bm_store_buffer;
#define BM_STORE_NONE 0xFFFFFFFFu

typedef struct {
    const bm_device *device;
    uint32_t slots, width, groups, states;
    uint8_t digest[32];
    uint64_t sequence;       /* of the last commit */
    uint32_t sum;            /* of the CRCs of all live blocks */
    uint32_t next_sum;
    uint8_t *live, *next;    /* bitmaps: which home of every block; of the episode that is being written */
    bm_store_buffer rows[2], state[2];
    uint32_t changed;        /* index of a state block that is not written yet; BM_STORE_NONE */
    uint32_t old_crc;        /* of that block, as it was */
    int writing;             /* between begin and commit */
    int lost;                /* a commit failed half-way: only mounting again tells what is there */
    uint32_t weak;           /* copies that mounting found damaged: bit 0, 1: headers; bit 2, 3: of the newest record */
    bm_store_status status;  /* why the last operation failed */
    bm_store_place bad;      /* where */
    uint64_t written;        /* bytes, since the last begin */
    uint32_t writes, syncs;
} bm_store;

/* Bytes of a store on a device with this sector. */
uint64_t bm_store_size(uint32_t slots, uint32_t width, uint32_t sector);

/* Open the store on a device. work: BM_STORE_WORK bytes. digest: of the model; NULL takes any. */
bm_store_status bm_store_mount(bm_store *s, const bm_device *device, uint32_t slots, uint32_t width, const uint8_t *digest,
                               void *work);

/* Make a new store with the rows of another tier, and mount it. What was on the device is lost. */
bm_store_status bm_store_create(bm_store *s, const bm_device *device, uint32_t slots, uint32_t width, const uint8_t *digest,
                                const bm_tier *rows, void *work);

/* The store as the memory's tier. Its functions return BM_ERR_MEMORY; s->status and s->bad say why. */
bm_tier bm_store_tier(bm_store *s);

/* Read every live block. Calls `found` (may be NULL) for each that is damaged, and for damaged copies of header and record;
 * returns how many. A sum of CRCs that differs from the record's is reported as a record. */
uint32_t bm_store_verify(bm_store *s, void (*found)(void *context, const bm_store_place *place), void *context);

#ifdef __cplusplus
}
#endif
#endif
