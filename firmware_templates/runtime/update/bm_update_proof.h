/* SPDX-License-Identifier: MIT-0 */
/* The proof that travels with a model: tokens, and the CRC-32 of the integer logits behind each. */
#ifndef BM_UPDATE_PROOF_H
#define BM_UPDATE_PROOF_H

#include "bitmar.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Run the proof of n bytes on a model that has just been started, with its memory switched off. 1: all logits are right. The stream
 * is used up: begin an episode, or start the model again. */
int bm_update_prove(bm_state *s, const uint8_t *proof, uint32_t n);

#ifdef __cplusplus
}
#endif
#endif
