/* SPDX-License-Identifier: MIT-0 */
/* Updates in files of a folder: records, slot-a, slot-b. */
#ifndef LINUX_UPDATE_H
#define LINUX_UPDATE_H

#include "bitmar.h"
#include "bm_update.h"

/* Start the newest model that works, out of `folder`. writable: this program alone takes updates, and tries a new model; others
 * read beside it. Returns 1, or 0 where the model that the program was made with shall run. */
int linux_update_start(bm_state *s, const char *folder, int writable, const bm_ram ram[BM_RAMS]);

bm_update *linux_updates(void);

/* Of main, for a restart. */
extern char **linux_arguments;

#endif
