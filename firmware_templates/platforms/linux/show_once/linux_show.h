/* SPDX-License-Identifier: MIT-0 */
/* `bitmar teach`, `ask`, `forget` and `list`: things that the program is shown once. */
#ifndef LINUX_SHOW_H
#define LINUX_SHOW_H

#include "bitmar.h"
#include "linux_options.h"

#define LINUX_MEMORY_FAILED \
    (-1) /* the memory's store could not be read or written: who opened it knows why */

/* Do what the command line says. Returns the exit status, after it has said what is wrong; or LINUX_MEMORY_FAILED. */
int linux_show(bm_state *s, const linux_options *o);

#endif
