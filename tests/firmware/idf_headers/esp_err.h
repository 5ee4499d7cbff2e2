/* SPDX-License-Identifier: Apache-2.0 */
/* Declarations of ESP-IDF 5 that our sources use, from its API reference; no code. docs.espressif.com: Error Handling. */
#pragma once
typedef int esp_err_t;
#define ESP_OK 0
