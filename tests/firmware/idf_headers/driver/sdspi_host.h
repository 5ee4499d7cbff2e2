/* SPDX-License-Identifier: Apache-2.0 */
/* API reference: SD SPI Host Driver. */
#pragma once
#include "../sdmmc_cmd.h"
#include "spi_common.h"
typedef struct sdspi_device_config {
    spi_host_device_t host_id;
    int gpio_cs;
} sdspi_device_config_t;
#define SDSPI_HOST_DEFAULT() ((sdmmc_host_t){.slot = SPI2_HOST})
#define SDSPI_DEVICE_CONFIG_DEFAULT() ((sdspi_device_config_t){0})
