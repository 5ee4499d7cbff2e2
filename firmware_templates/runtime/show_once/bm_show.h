/* SPDX-License-Identifier: MIT-0 */
/* A thing is shown once, and its name is told; from then on it is known (docs/how-to/show-once.md).
 *
 *   bm_begin_episode(&s); bm_set_image...(&s, ...);   a picture
 *   bm_show_episode(&s, "my cup", &shown);            what the memory would keep of it; nothing is written
 *   bm_show_recite(&s, &shown, text);                 what that is worth: the answer that it gives alone
 *   bm_show_keep(&s, &shown);                         written
 *
 *   bm_begin_episode(&s); bm_set_image...(&s, ...);
 *   bm_show_ask(&s, text);                            what the memory knows of this picture
 *
 * There is no record beside the memory: what a slot was taught is what it recites. Nothing is allocated.
 */
#ifndef BM_SHOW_H
#define BM_SHOW_H

#include "bitmar.h"
#include "bm_kernels.h"
#include "bm_words.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_SHOW_TOKENS 12u /* of an answer at most */
#define BM_SHOW_TEXT 1024u /* bytes of an answer, with its end; what is beyond is left out */
#define BM_SHOW_TOP 3u     /* slots that are named as those that answered */
#define BM_SHOW_CHOSEN ((BM_SLOTS + 7u) / 8u)

/* What a slot of the memory holds. */
typedef struct {
    BM_ALIGNED int8_t key[BM_PAD(BM_D)];
    BM_ALIGNED int8_t value[BM_PAD(BM_D)];
    float scale; /* of the key */
    uint32_t usage; /* 0: the slot is empty */
} bm_shown;

/* Tokens of the answer that says `name`, which may be no more than BM_SHOW_TOKENS. */
bm_status bm_show_length(bm_state *s, const char *name, size_t *tokens);

/* The picture of this episode is called `name`: what its end would write. */
bm_status bm_show_episode(bm_state *s, const char *name, bm_shown *shown);

/* The slot that this would be written into, and whether two things are so alike that they stand for one. */
bm_status bm_show_slot(bm_state *s, const bm_shown *shown, uint32_t *slot);
int bm_show_alike(const bm_shown *a, const bm_shown *b);

/* Write it. BM_ERR_MEMORY: the memory is as it was before, and switched off. */
bm_status bm_show_keep(bm_state *s, const bm_shown *shown);

/* What slot `slot` holds. */
bm_status bm_show_get(bm_state *s, uint32_t slot, bm_shown *shown);

/* What a memory answers that holds this alone, without a picture: what it was taught (" a dax."). */
bm_status bm_show_recite(bm_state *s, const bm_shown *shown, char text[BM_SHOW_TEXT]);

/* What the memory answers to the picture of this episode (" a dax."); BM_WORDS_UNKNOWN of a thing that it does not know. */
bm_status bm_show_ask(bm_state *s, char text[BM_SHOW_TEXT]);

/* A slot that answers, and its share of what is read. */
typedef struct {
    uint32_t slot;
    float share;
} bm_answering;

/* The slots that answer the picture of this episode, the first the most: n of them, whose weights do not round to 0. */
bm_status bm_show_answering(bm_state *s, bm_answering top[BM_SHOW_TOP], uint32_t *n);

/* Wipe the slots whose bit is set in `chosen`. As bm_show_keep. */
bm_status bm_show_forget(bm_state *s, const uint8_t chosen[BM_SHOW_CHOSEN]);

#ifdef __cplusplus
}
#endif
#endif
