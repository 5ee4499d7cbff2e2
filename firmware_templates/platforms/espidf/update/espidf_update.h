/* SPDX-License-Identifier: MIT-0 */
/* Updates in partitions of the flash: two slots and their records. */
#ifndef ESPIDF_UPDATE_H
#define ESPIDF_UPDATE_H

#include "bitmar.h"
#include "bm_update.h"

/* Start the newest model that works out of a slot: 1, or 0 where the partition of the model shall run. ram: the arenas, which stay
 * with the caller. */
int espidf_update_start(bm_state *s, const bm_ram ram[BM_RAMS]);

bm_update *espidf_updates(void);

#endif
