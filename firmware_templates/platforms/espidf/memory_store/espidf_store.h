/* SPDX-License-Identifier: MIT-0 */
/* The memory's store on an ESP32: a file on an SD card, or a raw flash partition (main/Kconfig.projbuild chooses). */
#ifndef ESPIDF_STORE_H
#define ESPIDF_STORE_H

#include "espidf.h"

/* Open the store and make it the memory of s. NULL, or why there is none. updated: a model that came later runs, and goes on without the
 * memory of the one before. */
const char *espidf_store_start(bm_state *s, int updated);

#endif
