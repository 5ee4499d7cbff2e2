/* SPDX-License-Identifier: MIT-0 */
/* GPT-2 byte-level BPE on the device: text to token ids and back.
 *
 * Works in place on the binary that bitmar_tiny/data/tokenizer_file.py describes byte by byte (in
 * flash, say): nothing is unpacked, nothing is allocated, any alignment and any byte order will do.
 */
#ifndef BM_TOKENIZER_H
#define BM_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BM_TOKENIZER_OK = 0,
    BM_TOKENIZER_BAD = -1,  /* the binary is damaged or is none */
    BM_TOKENIZER_FULL = -2, /* more ids than the caller's array holds */
    BM_TOKENIZER_LONG = -3  /* one piece of the text (a word, a run of spaces) has more bytes than cells */
};

/* An open tokenizer: pointers into the binary, which must outlive it. Read the fields, do not set them. */
typedef struct {
    uint32_t vocab_size;
    uint32_t n_merges;
    uint32_t eos;     /* the last id; no text encodes to it */
    uint32_t longest; /* bytes of the longest token */
    const uint8_t *byte_ids; /* u16[256] */
    const uint8_t *offsets;  /* u32[vocab_size + 1] */
    const uint8_t *merges;   /* u16[3][n_merges]: left, right, result; ascending by (left, right) */
    const uint8_t *text;
} bm_tokenizer;

/* Working memory of bm_tokenizer_encode: one cell for each byte of the longest piece. GPT-2 splits text
 * into words first, so 256 cells (2.5 kB) do for prose; as many cells as the text has bytes always do,
 * up to BM_TOKENIZER_MAX_PIECE. */
typedef struct {
    uint16_t id, next, previous, winner, merged;
} bm_tokenizer_cell;

#define BM_TOKENIZER_MAX_PIECE 65534u

/* Checks all of the binary that an out-of-range read could come from (one pass over it) and opens it.
 * Returns BM_TOKENIZER_OK or BM_TOKENIZER_BAD; *out is zero on failure. */
int bm_tokenizer_open(const uint8_t *blob, size_t size, bm_tokenizer *out);

/* Encodes size bytes of UTF-8 (no terminator needed) into ids; writes how many to *n_ids.
 *
 * Adds no EOS; the text "<|endoftext|>" is plain text. Bytes that are not UTF-8 are kept: each counts as
 * one character that is no letter, number or space, and decoding gives it back.
 * Time: O(n log n) in the longest piece. On FULL or LONG, *n_ids ids are valid: those of the text so far
 * for LONG; the first `capacity` for FULL. */
int bm_tokenizer_encode(const bm_tokenizer *tokenizer, const uint8_t *text, size_t size,
    bm_tokenizer_cell *cells, size_t n_cells, uint32_t *ids, size_t capacity, size_t *n_ids);

/* Bytes of one token and their number; not terminated, and maybe only part of a UTF-8 character. The EOS
 * token gives "<|endoftext|>". NULL and 0 for an id outside the vocabulary. */
const uint8_t *bm_tokenizer_decode(const bm_tokenizer *tokenizer, uint32_t id, size_t *size);

#ifdef __cplusplus
}
#endif
#endif
