/* SPDX-License-Identifier: Apache-2.0 */
/* Of the Pico SDK's pico/multicore.h. */
#ifndef STAND_IN_PICO_MULTICORE_H
#define STAND_IN_PICO_MULTICORE_H

#include <stddef.h>
#include <stdint.h>

void multicore_launch_core1_with_stack(void (*entry)(void), uint32_t *stack_bottom, size_t stack_size_bytes);

#endif
