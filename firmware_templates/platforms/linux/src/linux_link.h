/* SPDX-License-Identifier: MIT-0 */
/* The link (bm_serve.h) on a terminal, a serial port, or standard input and output. */
#ifndef LINUX_LINK_H
#define LINUX_LINK_H

#include "bitmar.h"

/* Serve until the other end hangs up. s: a model that started in `arena`, or NULL, and why it did not. path: a terminal, or NULL for
 * standard input and output. Returns 0, or -1 if the terminal cannot be used (errno says why). */
int linux_link(bm_state *s, uint8_t *arena, const char *why, const char *path, uint32_t baud);

#endif
