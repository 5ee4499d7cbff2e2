/* SPDX-License-Identifier: MIT-0 */
/* A memory store in a file or on a raw device. */
#ifndef LINUX_STORE_H
#define LINUX_STORE_H

#include "bm_store.h"

/* Open and lock the one store of this program, and describe it in `device`. A program that may not write reads beside others. */
bm_store_status linux_store_open(bm_store_device *device, const char *path, int writable);

void linux_store_close(void);

/* What an error of the system (errno) is for a store. */
bm_store_status linux_store_reason(int error);

#endif
