/* SPDX-License-Identifier: MIT-0 */
/* The four character classes of GPT-2's splitter: \p{L}, \p{N}, \s (White_Space) and the rest. */
#ifndef BM_UNICODE_H
#define BM_UNICODE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BM_UNICODE_OTHER = 0, BM_UNICODE_LETTER = 1, BM_UNICODE_NUMBER = 2, BM_UNICODE_SPACE = 3 };

/* Class of a code point; unassigned ones and values past U+10FFFF are BM_UNICODE_OTHER. */
int bm_unicode_class(uint32_t code_point);

#ifdef __cplusplus
}
#endif
#endif
