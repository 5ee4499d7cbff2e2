/* SPDX-License-Identifier: MIT-0 */
/* The text face of the link: the commands of MLPerf Tiny and EEMBC's runners, each ended by '%' (docs/how-to/benchmark-runners.md).
 *
 * An input is loaded with 'db', 'infer N W' runs it W + N times, 'results' tells what came out. Every line of an answer begins
 * with "m-" or "e-"; the last one is "m-ready".
 *
 * An input, integers little-endian:
 *   char magic[4] "BMIN"; u16 version 1, picture (0 or 1), prompt P, classes C, tokens G, zero
 *   u8 patches [BM_IMAGE_INPUTS][768], if there is a picture
 *   u32 prompt [P], classes [C]
 * One inference is one episode: the picture, EOS and the prompt, then either G tokens, each the most likely one, until EOS (C = 0),
 * or one choice among the C tokens by their probability (G = 0). The memory is read and never written.
 */
#ifndef BM_ASCII_H
#define BM_ASCII_H

#include "bitmar.h"
#include "bm_port.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_ASCII_LINE 256u /* characters of a command at most, without its '%' */
#define BM_ASCII_RESULTS 256u /* tokens or classes of an input at most */
#define BM_ASCII_HEADER 16u
#define BM_ASCII_INPUT \
    (BM_ASCII_HEADER + BM_IMAGE_INPUTS * BM_VISION + \
        4u * 2u * BM_ASCII_RESULTS) /* bytes of an input at most */

typedef struct {
    bm_state *s;
    const struct bm_port *port;
    uint8_t *input; /* [BM_ASCII_INPUT] */
    float (*vectors)[BM_VISION]; /* [BM_IMAGE_POOL] scratch */
    size_t size, loaded; /* bytes that 'db load' announced, and that came since */
    uint32_t crc; /* of the bytes that came */
    uint32_t results; /* of the last inference; 0: there was none */
    int is_choice; /* they are integer logits of the classes; else ids */
    int32_t result[BM_ASCII_RESULTS];
    float logit_scale; /* float logit = result * logit_scale */
    bm_sampler sampler;
    size_t pending; /* characters of the answer that were not sent yet */
    char text[128];
} bm_ascii;

/* Prints the start-up lines, up to m-ready. `input` and `vectors` may be shared with whatever else the board does between two
 * commands: an input that was written over is refused. */
void bm_ascii_init(
    bm_ascii *a, bm_state *s, const struct bm_port *port, uint8_t *input, float (*vectors)[BM_VISION]);

/* Execute one command: n characters without the '%'. Pass the first BM_ASCII_LINE + 1 of a longer one: it is refused.
 * 'infer' forgets the episode that the model was in. */
void bm_ascii_command(bm_ascii *a, const char *line, size_t n);

#ifdef __cplusplus
}
#endif
#endif
