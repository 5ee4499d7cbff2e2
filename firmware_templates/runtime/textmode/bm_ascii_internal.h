/* SPDX-License-Identifier: MIT-0 */
/* What the files of the text face share. */
#ifndef BM_ASCII_INTERNAL_H
#define BM_ASCII_INTERNAL_H

#include "bm_ascii.h"

/* Answers. A line is sent when it ends, or a buffer at a time. */
void bm_ascii_char(bm_ascii *a, char c);
void bm_ascii_put(bm_ascii *a, const char *text);
void bm_ascii_number(
    bm_ascii *a, uint64_t v, size_t digits);  /* decimal, with zeros in front up to `digits` */
void bm_ascii_hex(bm_ascii *a, uint8_t v);
void bm_ascii_quote(bm_ascii *a, const char *word, size_t n);  /* text that came from outside */
void bm_ascii_end(bm_ascii *a);
void bm_ascii_say(bm_ascii *a, const char *line);
void bm_ascii_say_number(bm_ascii *a, const char *before, uint64_t v, const char *after);
void bm_ascii_fail(bm_ascii *a, const char *why);

/* The words of a command that were not read yet. */
typedef struct {
    const char *at, *end;
} bm_words;

size_t bm_words_next(bm_words *w, const char **word);          /* its characters; 0 at the end */
int bm_words_is(const char *word, size_t n, const char *name);
int bm_words_number(
    const char *word, size_t n, uint32_t most, uint32_t *out);  /* 1: a whole number up to `most` */
int bm_words_optional(bm_words *w, uint32_t most, uint32_t *out); /* 1: such a number, or the end */
int bm_words_done(bm_ascii *a, bm_words *w); /* 1: nothing follows; else it is refused */

uint64_t bm_ascii_microseconds(const bm_ascii *a);
void bm_ascii_infer(bm_ascii *a, bm_words *w);
void bm_ascii_results(bm_ascii *a);

#endif
