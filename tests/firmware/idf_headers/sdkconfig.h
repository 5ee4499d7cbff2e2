/* SPDX-License-Identifier: Apache-2.0 */
/* What the build makes of settings that no project sets, as far as our sources look at it; the others are flags of the compiler. */
#pragma once
#define CONFIG_ESP_CONSOLE_UART_BAUDRATE 115200
