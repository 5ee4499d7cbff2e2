/* SPDX-License-Identifier: Apache-2.0 */
/* components/esp_hw_support/include/esp_memory_utils.h: inline there */
#pragma once
#include <stdbool.h>
bool esp_ptr_external_ram(const void *p);
