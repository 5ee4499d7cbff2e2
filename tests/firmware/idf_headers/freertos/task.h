/* SPDX-License-Identifier: Apache-2.0 */
/* API reference: FreeRTOS (IDF), tasks. */
#pragma once
#include "FreeRTOS.h"
typedef struct tskTaskControlBlock *TaskHandle_t;
typedef void (*TaskFunction_t)(void *);
BaseType_t xTaskCreatePinnedToCore(TaskFunction_t task, const char *name, uint32_t stack_bytes,
    void *arguments, UBaseType_t priority, TaskHandle_t *created, BaseType_t core);
UBaseType_t uxTaskPriorityGet(TaskHandle_t task);
void vTaskDelay(TickType_t ticks);
BaseType_t xTaskNotifyGive(TaskHandle_t task);
uint32_t ulTaskNotifyTake(BaseType_t clear_on_exit, TickType_t ticks);
UBaseType_t uxTaskGetStackHighWaterMark(TaskHandle_t task);
