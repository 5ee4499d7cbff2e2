/* The trace that `bitmar-tiny verify` compares with the golden model. The format is drawn in trace.c. */
#ifndef TRACE_H
#define TRACE_H

#include <stddef.h>

#include "bitmar.h"

/* Where a script comes from and a trace goes to. read returns how many bytes it got, less than n at the end. */
typedef struct {
    size_t (*read)(void *to, size_t n);
    void (*write)(const void *from, size_t n);
} trace_io;

/* Replay the script; features: scratch [BM_IMAGE_INPUTS][768]. Returns 0, TRACE_MALFORMED, or TRACE_NO_TAPS for a build
 * without -DBM_TAPS. */
#define TRACE_MALFORMED 1
#define TRACE_NO_TAPS 2
int trace_serve(bm_state *s, float *features, const trace_io *io);

#endif
