/* What the build makes of sdkconfig.defaults, as far as our sources look at it. */
#pragma once
#define CONFIG_IDF_TARGET_ESP32S3 1
#define CONFIG_ESP_MAIN_TASK_STACK_SIZE 8192
