/* SPDX-License-Identifier: Apache-2.0 */
/* components/esp_common/include/esp_idf_version.h */
#pragma once
#define ESP_IDF_VERSION_VAL(major, minor, patch) (((major) << 16) | ((minor) << 8) | (patch))
#ifndef ESP_IDF_VERSION
#define ESP_IDF_VERSION ESP_IDF_VERSION_VAL(5, 5, 5)
#endif
