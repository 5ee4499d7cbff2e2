/* SPDX-License-Identifier: Apache-2.0 */
/* components/esp_hw_support/include/esp_async_memcpy.h */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "esp_err.h"
typedef struct async_memcpy_context_t *async_memcpy_t;
typedef struct {
    void *data;
} async_memcpy_event_t;
typedef bool (*async_memcpy_isr_cb_t)(async_memcpy_t mcp_hdl, async_memcpy_event_t *event, void *cb_args);
typedef struct {
    uint32_t backlog;
    size_t sram_trans_align, psram_trans_align,
        dma_burst_size; /* the last one from 5.4 on, in the others' place */
    uint32_t flags;
} async_memcpy_config_t;
#define ASYNC_MEMCPY_DEFAULT_CONFIG() {8, 0, 0, 0, 0}
esp_err_t esp_async_memcpy_install(const async_memcpy_config_t *config, async_memcpy_t *asmcp);
esp_err_t esp_async_memcpy(
    async_memcpy_t asmcp, void *dst, void *src, size_t n, async_memcpy_isr_cb_t cb_isr, void *cb_args);
