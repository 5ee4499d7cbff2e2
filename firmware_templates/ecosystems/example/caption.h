/* SPDX-License-Identifier: MIT-0 */
/* The model says what is in a picture. */
#ifndef CAPTION_H
#define CAPTION_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of text, as it is written: UTF-8, not ended by a zero. */
typedef void (*caption_say)(const char *text, size_t length);

/* Once. NULL, or one sentence why the model cannot run. */
const char *caption_start(void);
/* Look at the picture and say what it shows. NULL, or why not. */
const char *caption(caption_say say);

#ifdef __cplusplus
}
#endif
#endif
