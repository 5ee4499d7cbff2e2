/* Run a script from stdin and write every tap to stdout. Returns an exit status. */
#ifndef LINUX_TRACE_H
#define LINUX_TRACE_H

#include "bitmar.h"

int linux_trace(bm_state *s, float *features);

#endif
