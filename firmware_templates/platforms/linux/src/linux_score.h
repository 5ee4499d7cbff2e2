/* `bitmar score`: exact logits where they are asked for, so that a caller can score given tokens. */
#ifndef LINUX_SCORE_H
#define LINUX_SCORE_H

#include "bitmar.h"

/* Serve commands from stdin until it ends (linux_score.c). `arena`: the BM_RAM_TOTAL bytes that `s` lies in; features: scratch
 * for one image. Returns NULL or what went wrong. */
const char *linux_score(bm_state *s, uint8_t *arena, float *features);

#endif
