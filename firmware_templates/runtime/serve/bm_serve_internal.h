/* SPDX-License-Identifier: MIT-0 */
/* Shared by the sources of the server: fields of messages, results. */
#ifndef BM_SERVE_INTERNAL_H
#define BM_SERVE_INTERNAL_H

#include "bm_bytes.h"
#include "bm_serve.h"

/* The next n bytes of the request. -1: it has fewer, or the session ended. */
int bm_serve_take(bm_server *v, void *to, uint32_t n);

/* Begin an answer whose payload has n bytes, which bm_link_write then gets. */
void bm_serve_head(bm_server *v, uint8_t message, uint32_t n);

/* End of an answer. status: bm_status or BM_RESULT_... */
void bm_serve_result(bm_server *v, int32_t status, uint32_t value);

/* bm_serve_memory.c: from now on the model reads its memory through a tier that counts; requests about its rows. */
void bm_serve_count(bm_server *v);
void bm_serve_memory_read(bm_server *v);
void bm_serve_memory_write(bm_server *v);

/* bm_serve_steps.c: requests that let the model compute. */
void bm_serve_image(bm_server *v);
void bm_serve_tokens(bm_server *v);
void bm_serve_generate(bm_server *v);
void bm_serve_taps(bm_server *v);
void bm_serve_start_taps(bm_server *v);

#if BM_UPDATES
/* bm_update_serve.c: requests about updates. 0: it is none. */
int bm_serve_update(bm_server *v, uint8_t message);
#endif

/* bm_serve_score.c: how likely tokens are. */
void bm_serve_score(bm_server *v);

#endif
