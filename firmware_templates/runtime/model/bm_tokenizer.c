/* SPDX-License-Identifier: MIT-0 */
/* GPT-2 byte-level BPE. See bm_tokenizer.h for use, bitmar_tiny/data/tokenizer_file.py for the binary. */
#include "bm_tokenizer.h"

#include <string.h>

#include "bm_bytes.h"
#include "bm_unicode.h"

#define HEADER_SIZE 32u
#define VERSION 1u
#define MIN_VOCAB 257u
#define MAX_VOCAB 65536u
#define MERGE_SIZE 6u
#define NONE 0xFFFFu /* no neighbour, no merge: never an id of a merge, as the last id is EOS */

/* ---- opening ------------------------------------------------------------------------------------ */

static int tables_valid(const bm_tokenizer *t, uint32_t n_text)
{
    uint32_t i, at = 0, longest = 0;
    for (i = 0; i < 256u; i++) {
        if (bm_get_u16(t->byte_ids + 2u * i) > 255u) { return 0; }
    }
    if (bm_get_u32(t->offsets) != 0) { return 0; }
    for (i = 1; i <= t->vocab_size; i++) {
        uint32_t end = bm_get_u32(t->offsets + 4u * (size_t)i);
        if (end <= at || end > n_text) { return 0; }
        longest = end - at > longest ? end - at : longest;
        at = end;
    }
    if (at != n_text || longest != t->longest) { return 0; }
    for (i = 0; i < t->n_merges; i++) {
        const uint8_t *m = t->merges + MERGE_SIZE * (size_t)i;
        uint32_t left = bm_get_u16(m), right = bm_get_u16(m + 2), result = bm_get_u16(m + 4);
        if (result < 256u || result >= t->eos || left >= result || right >= result) { return 0; }
        if (i > 0 &&
            (bm_get_u16(m - MERGE_SIZE) << 16 | bm_get_u16(m - MERGE_SIZE + 2)) >= (left << 16 | right)) {
            return 0;
        }
    }
    return 1;
}

int bm_tokenizer_open(const uint8_t *blob, size_t size, bm_tokenizer *out)
{
    bm_tokenizer t;
    size_t merges_at, text_at;
    uint32_t n_text;
    memset(out, 0, sizeof *out);
    memset(&t, 0, sizeof t);
    if (blob == NULL || size < HEADER_SIZE || memcmp(blob, "BMTK", 4) != 0 ||
        bm_get_u32(blob + 4) != VERSION) {
        return BM_TOKENIZER_BAD;
    }
    t.vocab_size = bm_get_u32(blob + 8);
    t.n_merges = bm_get_u32(blob + 12);
    t.eos = bm_get_u32(blob + 16);
    n_text = bm_get_u32(blob + 20);
    t.longest = bm_get_u32(blob + 24);
    if (t.vocab_size < MIN_VOCAB || t.vocab_size > MAX_VOCAB || t.n_merges != t.vocab_size - MIN_VOCAB ||
        t.eos != t.vocab_size - 1u || bm_get_u32(blob + 28) != size || n_text > size) {
        return BM_TOKENIZER_BAD;
    }
    /* No sum below can wrap: V <= 2^16, so everything before the text is less than 2^20 bytes. */
    merges_at = HEADER_SIZE + 512u + 4u * ((size_t)t.vocab_size + 1u);
    text_at = (merges_at + MERGE_SIZE * (size_t)t.n_merges + 3u) & ~(size_t)3u;
    if (text_at > size || size - text_at < n_text || size - text_at - n_text > 3u) {
        return BM_TOKENIZER_BAD;
    }
    t.byte_ids = blob + HEADER_SIZE;
    t.offsets = blob + HEADER_SIZE + 512u;
    t.merges = blob + merges_at;
    t.text = blob + text_at;
    if (!tables_valid(&t, n_text)) { return BM_TOKENIZER_BAD; }
    *out = t;
    return BM_TOKENIZER_OK;
}

const uint8_t *bm_tokenizer_decode(const bm_tokenizer *t, uint32_t id, size_t *size)
{
    uint32_t from;
    if (id >= t->vocab_size) {
        *size = 0;
        return NULL;
    }
    from = bm_get_u32(t->offsets + 4u * (size_t)id);
    *size = bm_get_u32(t->offsets + 4u * ((size_t)id + 1u)) - from;
    return t->text + from;
}

/* ---- splitting ---------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *text;
    size_t size;
} span;

/* Class of the character at `at` (at < size) and its length. A byte that begins no well-formed UTF-8
 * (Unicode table 3-7: no overlong forms, surrogates or values past U+10FFFF) is one OTHER character. */
static int char_at(span s, size_t at, size_t *length)
{
    const uint8_t *p = s.text + at;
    uint32_t c = p[0], low = 0x80u, high = 0xBFu;
    size_t i, n;
    *length = 1;
    if (c < 0x80u) { return bm_unicode_class(c); }
    if (c < 0xC2u || c > 0xF4u) { return BM_UNICODE_OTHER; }
    n = c < 0xE0u ? 2u : c < 0xF0u ? 3u : 4u;
    if (s.size - at < n) { return BM_UNICODE_OTHER; }
    low = c == 0xE0u ? 0xA0u : c == 0xF0u ? 0x90u : low;
    high = c == 0xEDu ? 0x9Fu : c == 0xF4u ? 0x8Fu : high;
    c &= 0x7Fu >> n;
    for (i = 1; i < n; i++) {
        if (p[i] < low || p[i] > high) { return BM_UNICODE_OTHER; }
        c = c << 6 | (p[i] & 0x3Fu);
        low = 0x80u;
        high = 0xBFu;
    }
    *length = n;
    return bm_unicode_class(c);
}

/* Length of 's 't 're 've 'm 'll 'd at `at`, else 0. */
static size_t contraction(span s, size_t at)
{
    const uint8_t *p = s.text + at;
    size_t left = s.size - at;
    if (left >= 2u && p[0] == '\'') {
        if (p[1] == 's' || p[1] == 't' || p[1] == 'm' || p[1] == 'd') { return 2u; }
        if (left >= 3u &&
            ((p[1] == 'r' && p[2] == 'e') || (p[1] == 'v' && p[2] == 'e') || (p[1] == 'l' && p[2] == 'l'))) {
            return 3u;
        }
    }
    return 0;
}

/* End of the piece that begins at `at` (at < size): GPT-2's regular expression by hand,
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+                      */
static size_t piece_end(span s, size_t at)
{
    size_t end = at, length, last, cut = contraction(s, at);
    int kind;
    if (cut != 0) { return at + cut; }
    if (s.text[at] == ' ' && at + 1u < s.size && char_at(s, at + 1u, &length) != BM_UNICODE_SPACE) {
        end = at + 1u; /* one space belongs to the word after it */
    }
    kind = char_at(s, end, &length);
    last = end;
    do {
        last = end;
        end += length;
    } while (end < s.size && char_at(s, end, &length) == kind);
    if (kind == BM_UNICODE_SPACE && end < s.size && last > at) {
        return last; /* \s+(?!\S): the last space is left to the word that follows */
    }
    return end;
}

/* ---- merging ------------------------------------------------------------------------------------ */

/* Result of merging two tokens, NONE if they do not merge. */
static uint16_t merge_of(const bm_tokenizer *t, uint32_t left, uint32_t right)
{
    uint32_t key = left << 16 | right, low = 0, high = t->n_merges;
    while (low < high) {
        uint32_t middle = (low + high) / 2u;
        const uint8_t *m = t->merges + MERGE_SIZE * (size_t)middle;
        uint32_t found = bm_get_u16(m) << 16 | bm_get_u16(m + 2);
        if (found == key) { return (uint16_t)bm_get_u16(m + 4); }
        if (found < key) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return NONE;
}

/* The tournament: node k in 1..n-1 has the children 2k and 2k+1; node n+i is the pair that begins at cell
 * i. A node's winner is the pair of lowest rank (= lowest result), the leftmost of equals. */
static void play(bm_tokenizer_cell *cells, size_t n, size_t node)
{
    uint32_t a = 2u * node < n ? cells[2u * node].winner : (uint32_t)(2u * node - n);
    uint32_t b = 2u * node + 1u < n ? cells[2u * node + 1u].winner : (uint32_t)(2u * node + 1u - n);
    uint32_t rank_a = cells[a].merged, rank_b = cells[b].merged;
    cells[node].winner = (uint16_t)(rank_a < rank_b || (rank_a == rank_b && a < b) ? a : b);
}

static void set_merged(bm_tokenizer_cell *cells, size_t n, size_t i, uint16_t merged)
{
    size_t node;
    if (cells[i].merged == merged) { return; }
    cells[i].merged = merged;
    for (node = (n + i) / 2u; node > 0; node /= 2u) { play(cells, n, node); }
}

/* Merges the n >= 1 bytes of one piece (n <= BM_TOKENIZER_MAX_PIECE); the tokens remain linked from cell 0. */
static void merge_piece(const bm_tokenizer *t, const uint8_t *bytes, size_t n, bm_tokenizer_cell *cells)
{
    size_t i;
    for (i = 0; i < n; i++) {
        cells[i].id = (uint16_t)bm_get_u16(t->byte_ids + 2u * (size_t)bytes[i]);
        cells[i].previous = (uint16_t)(i == 0 ? NONE : i - 1u);
        cells[i].next = (uint16_t)(i + 1u < n ? i + 1u : NONE);
    }
    for (i = 0; i < n; i++) {
        cells[i].merged = i + 1u < n ? merge_of(t, cells[i].id, cells[i + 1u].id) : NONE;
    }
    for (i = n - 1u; i > 0; i--) { play(cells, n, i); }
    while (n > 1u && cells[cells[1].winner].merged != NONE) {
        size_t left = cells[1].winner, right = cells[left].next, after = cells[right].next;
        cells[left].id = cells[left].merged;
        cells[left].next = (uint16_t)after;
        set_merged(cells, n, right, NONE);
        if (after != NONE) { cells[after].previous = (uint16_t)left; }
        set_merged(cells, n, left, after == NONE ? NONE : merge_of(t, cells[left].id, cells[after].id));
        if (cells[left].previous != NONE) {
            size_t before = cells[left].previous;
            set_merged(cells, n, before, merge_of(t, cells[before].id, cells[left].id));
        }
    }
}

int bm_tokenizer_encode(const bm_tokenizer *t, const uint8_t *text, size_t size, bm_tokenizer_cell *cells,
    size_t n_cells, uint32_t *ids, size_t capacity, size_t *n_ids)
{
    span s;
    size_t at = 0, count = 0;
    s.text = text;
    s.size = size;
    *n_ids = 0;
    while (at < size) {
        size_t end = piece_end(s, at), n = end - at, i;
        if (n > n_cells || n > BM_TOKENIZER_MAX_PIECE) { return BM_TOKENIZER_LONG; }
        merge_piece(t, text + at, n, cells);
        for (i = 0; i != NONE; i = cells[i].next) {
            if (count == capacity) { return BM_TOKENIZER_FULL; }
            ids[count++] = cells[i].id;
            *n_ids = count;
        }
        at = end;
    }
    return BM_TOKENIZER_OK;
}
