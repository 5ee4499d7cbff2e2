/* SPDX-License-Identifier: MIT-0 */
/* The model on ESP-IDF: what main, link, arenas and the second core share. */
#ifndef ESPIDF_H
#define ESPIDF_H

#include "bitmar.h"

/* Memory for the model; NULL, or why there is none. */
const char *espidf_arenas(bm_ram ram[BM_RAMS]);

/* Let both cores share the products and the head of s. Returns 0, or -1 if there is no memory for the second task. */
int espidf_split_start(bm_state *s);

#if BM_STREAM_ROWS
/* Measure the ways that the chip has to stream the head, and take the quickest. */
void espidf_stream_start(bm_state *s);
#endif

/* Answer a host for ever. `why` is NULL, or the reason why the model did not start. */
void espidf_link(bm_state *s, const char *why);

#endif
