/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations of the Pico SDK that a generated example uses (pico/stdlib.h, pico/time.h). */
#ifndef STAND_IN_PICO_STDLIB_H
#define STAND_IN_PICO_STDLIB_H

#include <stdbool.h>
#include <stdint.h>

bool stdio_init_all(void);
void sleep_ms(uint32_t ms);

#endif
