/* SPDX-License-Identifier: Apache-2.0 */
/* What the build makes of sdkconfig.defaults, as far as our sources look at it. */
#pragma once
#define CONFIG_IDF_TARGET_ESP32S3 1
#define CONFIG_ESP_MAIN_TASK_STACK_SIZE 8192
#define CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ 240
#define CONFIG_ESP_CONSOLE_UART_BAUDRATE 115200
#define CONFIG_BITMAR_SD_WIDTH 4
#define CONFIG_BITMAR_SD_CLK 14
#define CONFIG_BITMAR_SD_CMD 15
#define CONFIG_BITMAR_SD_D0 2
#define CONFIG_BITMAR_SD_D1 4
#define CONFIG_BITMAR_SD_D2 12
#define CONFIG_BITMAR_SD_D3 13
#define CONFIG_BITMAR_SD_MOSI 15
#define CONFIG_BITMAR_SD_MISO 2
#define CONFIG_BITMAR_SD_CS 13
