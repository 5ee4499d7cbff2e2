/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of a core. */
#ifndef BARE_CORTEXM_H
#define BARE_CORTEXM_H

#include <stddef.h>
#include <stdint.h>

void bare_interrupts_off(void);
void bare_interrupts_on(void);

#endif
