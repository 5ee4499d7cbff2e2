/* SPDX-License-Identifier: MIT-0 */
/* The memory's store of a module: a device in linear memory, which the host fills and keeps (web.h). */
#ifndef WEB_STORE_H
#define WEB_STORE_H

#include "bitmar.h"

/* Open what the host has put in place and make it the memory; NULL, or why it cannot be. */
const char *web_store_start(bm_state *s);

#endif
