/* SPDX-License-Identifier: MIT-0 */
/* Two slots for models that come over the link, beside the one that the program was made with.
 *
 * Each slot holds one package: the blob, then the proof, each filled up to whole units. A record says what each slot is. It is
 * written to two places by turns, so that a cut leaves the one before it whole. The slot that runs is never written.
 * docs/how-to/update.md says what that makes sure of.
 */
#ifndef BM_UPDATE_H
#define BM_UPDATE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BM_UPDATE_UNIT 4096u /* bytes that are erased and written together */
#define BM_UPDATE_HEAD 256u  /* bytes of a package's head */
#define BM_UPDATE_TRIES 3u   /* starts that a model may take to prove itself */

#ifndef BM_UPDATE_NOTED
#define BM_UPDATE_NOTED 16u /* units after which the record says how far a package has come */
#endif

/* Places of the head; all not named here is zero. */
#define BM_UPDATE_VERSION_AT 4u
#define BM_UPDATE_BLOB_AT 8u   /* bytes of the blob, without filling */
#define BM_UPDATE_PROOF_AT 12u /* bytes of the proof, without filling */
#define BM_UPDATE_BUILD_AT 16u /* [32] what the firmware must be compiled for */
#define BM_UPDATE_MODEL_AT 48u /* [32] SHA-256 of the frozen model */
#define BM_UPDATE_HASH_AT 80u  /* [32] SHA-256 of blob and proof with their filling */
#define BM_UPDATE_LAYOUT_AT 112u /* [16] of the blob, for people */
#define BM_UPDATE_SIGNATURE_AT \
    128u /* bytes of the signature, or 0; then itself, of the SHA-256 of all before this */
#define BM_UPDATE_CRC_AT 252u    /* of the bytes before it */
#define BM_UPDATE_SIGNATURE_ROOM 72u

enum {
    BM_UPDATE_RECORDS,
    BM_UPDATE_A,
    BM_UPDATE_B,
    BM_UPDATE_AREAS
}; /* areas; the two slots are named by theirs */
#define BM_UPDATE_FACTORY 0u /* what runs where no slot does */

typedef enum {
    BM_SLOT_EMPTY,
    BM_SLOT_RECEIVING,
    BM_SLOT_COMPLETE, /* checked by its hash */
    BM_SLOT_TRIAL,    /* runs at the next start, if it proves itself */
    BM_SLOT_GOOD,
    BM_SLOT_FAILED
} bm_slot_state;

typedef struct {
    void *context;
    /* 0, or -1: the device failed. An area that was never written may fail or give anything. */
    int (*read)(void *context, uint32_t area, uint32_t offset, void *to, uint32_t n);
    /* Erase and write one unit; it lasts when this returns. NULL: nothing can be written, and no model is tried. */
    int (*write)(void *context, uint32_t area, uint32_t offset, const void *unit);
    uint32_t slot_bytes; /* of a slot; the area of the records has two units */
    /* ECDSA on the curve P-256, DER. 1: the holder of the key signed the hash; 0. NULL: packages need no signature. */
    int (*verify)(const uint8_t hash[32], const uint8_t *signature, uint32_t n);
} bm_update_device;

typedef struct {
    uint8_t state, tries;
    uint32_t received, order; /* bytes so far; the highest of two good ones is the newest */
    uint8_t head[BM_UPDATE_HEAD];
} bm_slot;

typedef struct bm_update {
    bm_update_device device;
    const uint8_t *build; /* [32] of this firmware */
    uint32_t blob_bytes;
    uint32_t sequence, running; /* of the newest record; the area that runs */
    bm_slot slot[2];
    uint8_t unit[BM_UPDATE_UNIT];
} bm_update;

/* Read the records. build: [32], stays with the caller. */
void bm_update_open(bm_update *u, const bm_update_device *device, const uint8_t *build, uint32_t blob_bytes);

/* Start the model in a slot: 0 it runs; 1 it is not what it should be; -1 no fault of the model. proof: it must prove itself. */
typedef int (*bm_update_try)(void *context, uint32_t area, const bm_slot *slot, int proof);

/* Choose what runs: a model on trial, else the newest good one, else BM_UPDATE_FACTORY. Counts tries and notes how they ended. */
uint32_t bm_update_start(bm_update *u, bm_update_try attempt, void *context);

/* Requests. Each returns 0 or BM_RESULT_..., and in `value` how many bytes of the package it has. */
int32_t bm_update_begin(bm_update *u, const uint8_t *head, uint32_t n, uint32_t *value);
int32_t bm_update_block(
    bm_update *u, uint32_t offset, uint32_t crc, const uint8_t *data, uint32_t n, uint32_t *value);
int32_t bm_update_finish(bm_update *u, uint32_t *value);
int32_t bm_update_activate(bm_update *u, uint32_t *value);

/* The SHA-256 of what lies in a slot is that of its head: 1; 0 it is not, or cannot be read. */
int bm_update_whole(bm_update *u, uint32_t area);

/* Bytes with filling. */
static inline uint32_t bm_update_filled(uint32_t n)
{ return (n + BM_UPDATE_UNIT - 1u) / BM_UPDATE_UNIT * BM_UPDATE_UNIT; }

#ifdef __cplusplus
}
#endif
#endif
