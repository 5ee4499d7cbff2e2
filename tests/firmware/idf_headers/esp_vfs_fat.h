/* SPDX-License-Identifier: Apache-2.0 */
/* API reference: FAT Filesystem Support. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "esp_err.h"
#include "sdmmc_cmd.h"
typedef struct {
    bool format_if_mount_failed;
    int max_files;
    size_t allocation_unit_size;
} esp_vfs_fat_mount_config_t;
struct sdspi_device_config;
esp_err_t esp_vfs_fat_sdmmc_mount(const char *base_path, const sdmmc_host_t *host, const void *slot_config,
    const esp_vfs_fat_mount_config_t *mount_config, sdmmc_card_t **out_card);
esp_err_t esp_vfs_fat_sdspi_mount(const char *base_path, const sdmmc_host_t *host,
    const struct sdspi_device_config *slot_config, const esp_vfs_fat_mount_config_t *mount_config,
    sdmmc_card_t **out_card);
