/* SPDX-License-Identifier: Apache-2.0 */
/* API reference: SD/SDIO/MMC Driver. */
#pragma once
#include <stdint.h>
typedef struct sd_pwr_ctrl_drv_t *sd_pwr_ctrl_handle_t;
typedef struct {
    uint32_t flags;
    int slot;
    int max_freq_khz;
    sd_pwr_ctrl_handle_t pwr_ctrl_handle;
} sdmmc_host_t;
typedef struct sdmmc_card sdmmc_card_t;
#define SDMMC_FREQ_HIGHSPEED 40000
