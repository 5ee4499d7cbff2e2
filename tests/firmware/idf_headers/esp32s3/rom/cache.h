/* SPDX-License-Identifier: Apache-2.0 */
/* components/esp_rom/include/esp32s3/rom/cache.h */
#pragma once
#include <stdint.h>
uint32_t Cache_Start_DCache_Preload(uint32_t addr, uint32_t size, uint32_t order);
uint32_t Cache_DCache_Preload_Done(void);
void Cache_End_DCache_Preload(uint32_t autoload);
int Cache_WriteBack_Addr(uint32_t addr, uint32_t size);
