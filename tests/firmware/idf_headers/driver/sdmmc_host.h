/* SPDX-License-Identifier: Apache-2.0 */
/* API reference: SDMMC Host Driver (ESP32-S3: pins through the GPIO matrix). */
#pragma once
#include "../sdmmc_cmd.h"
typedef struct {
    int clk, cmd, d0, d1, d2, d3;
    uint8_t width;
    uint32_t flags;
} sdmmc_slot_config_t;
#define SDMMC_HOST_DEFAULT() ((sdmmc_host_t){0})
#define SDMMC_SLOT_CONFIG_DEFAULT() ((sdmmc_slot_config_t){0})
#define SDMMC_SLOT_FLAG_INTERNAL_PULLUP (1u << 0)
