/* SPDX-License-Identifier: Apache-2.0 */
/* API reference: FreeRTOS (IDF). */
#pragma once
#include <stdint.h>
#include "../sdkconfig.h"
typedef int BaseType_t;
typedef unsigned UBaseType_t;
typedef uint32_t TickType_t;
#define pdTRUE ((BaseType_t)1)
#define pdPASS ((BaseType_t)1)
#define portMAX_DELAY ((TickType_t)0xffffffffUL)
#define pdMS_TO_TICKS(ms) ((TickType_t)((uint64_t)(ms) * 100 / 1000))
