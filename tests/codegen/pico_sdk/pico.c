/* SPDX-License-Identifier: Apache-2.0 */
/* The first pause ends the program. */
#include <stdlib.h>

#include "pico/multicore.h"
#include "pico/stdlib.h"

static bool ready;

bool stdio_init_all(void) { return ready = true; }

void sleep_ms(uint32_t ms) { exit(!ready || !ms); }

void multicore_launch_core1_with_stack(void (*entry)(void), uint32_t *stack_bottom, size_t stack_size_bytes)
{
    if (!stack_bottom || stack_size_bytes < 8192u) abort();
    entry();
}
