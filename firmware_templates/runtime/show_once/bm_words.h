/* SPDX-License-Identifier: MIT-0 */
/* What is said of a thing (bitmar_tiny/data/show_once.py has the same words). */
#ifndef BM_WORDS_H
#define BM_WORDS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BM_WORDS_PROMPT "This is"
#define BM_WORDS_UNKNOWN " I don't know."
#define BM_WORDS_NAME 128u                    /* bytes of a name at most */
#define BM_WORDS_ANSWER \
    (BM_WORDS_NAME + 8u) /* of an answer: its name, a space, an article, a full stop, the end */

/* Bytes of the character that a text begins with; 0: it is not UTF-8, or the text ends. */
size_t bm_words_utf8(const char *text);

/* `name` without the spaces around it. NULL, or why nothing can be called so. */
const char *bm_words_check(const char *text, char name[BM_WORDS_NAME + 1u]);

/* What is said behind the prompt: " a dax.", " an apple.", and " my cup." where the name says whose. name: as it was checked. */
void bm_words_answer(const char *name, char answer[BM_WORDS_ANSWER]);

/* The name in an answer, in its place: of " a dax." it is "dax". */
void bm_words_name(char *answer);

#ifdef __cplusplus
}
#endif
#endif
