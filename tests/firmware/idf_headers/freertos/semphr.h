/* SPDX-License-Identifier: Apache-2.0 */
/* API reference: FreeRTOS (IDF), semaphores. */
#pragma once
#include "FreeRTOS.h"
typedef struct {
    void *opaque[20];
} StaticSemaphore_t;
typedef struct QueueDefinition *SemaphoreHandle_t;
SemaphoreHandle_t xSemaphoreCreateBinaryStatic(StaticSemaphore_t *memory);
BaseType_t xSemaphoreTake(SemaphoreHandle_t semaphore, TickType_t ticks);
BaseType_t xSemaphoreGive(SemaphoreHandle_t semaphore);
