/* SPDX-License-Identifier: Apache-2.0 */
/* The program of a board with a camera and a button, on this computer: files stand in for both, and for its console and card.
 *
 *   espidf_eye FOLDER
 *
 * FOLDER/model.blob is the partition of the model, FOLDER/card the card. FOLDER/button says for how many looks at the button it is up,
 * then down, then up ...; at its end the program exits. FOLDER/console has the lines that are typed when one is awaited; before the
 * first was, something else was typed. FOLDER/N.565 is what the camera sees at the Nth look: width and height in 16 bits, and the
 * pixels; before each, it has an old frame. FOLDER/no-camera: there is none.
 */
#undef open
#undef fgetc
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/gpio.h"
#include "esp_camera.h"
#include "esp_cpu.h"
#include "esp_heap_caps.h"
#include "esp_log.h"
#include "esp_partition.h"
#include "esp_vfs_fat.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"

void app_main(void);
int host_open(const char *path, int flags, ...);
int host_fgetc(FILE *f);

static const char *folder;
static FILE *button, *console;

static const char *in_folder(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* -- flash, memory, card, tasks ------------------------------------------------------------------------------------------ */

const esp_partition_t *esp_partition_find_first(
    esp_partition_type_t type, esp_partition_subtype_t subtype, const char *label)
{
    static const esp_partition_t model = {.size = 16u << 20};
    (void)label;
    return (int)type == 0x40 && (int)subtype == 0 ? &model : NULL;
}

esp_err_t esp_partition_mmap(const esp_partition_t *partition, size_t offset, size_t size,
    esp_partition_mmap_memory_t memory, const void **out, esp_partition_mmap_handle_t *handle)
{
    void *blob = aligned_alloc(64, (size + 63u) / 64u * 64u);
    FILE *f = fopen(in_folder("model.blob"), "rb");
    (void)partition, (void)offset, (void)memory;
    *out = blob;
    *handle = 1;
    return f && fread(blob, 1, size, f) == size && fclose(f) == 0 ? ESP_OK : -1;
}

void *heap_caps_malloc(size_t size, uint32_t caps)
{
    (void)caps;
    return malloc(size);
}

void *heap_caps_aligned_alloc(size_t alignment, size_t size, uint32_t caps)
{
    (void)caps;
    return aligned_alloc(alignment, (size + alignment - 1u) / alignment * alignment);
}

size_t heap_caps_get_largest_free_block(uint32_t caps) { return caps; }

esp_err_t esp_vfs_fat_sdmmc_mount(const char *path, const sdmmc_host_t *host, const void *slot,
    const esp_vfs_fat_mount_config_t *mount, sdmmc_card_t **card)
{
    (void)path, (void)host, (void)slot, (void)mount, (void)card;
    return access(in_folder("card"), F_OK);
}

int host_open(const char *path, int flags, ...) /* of a file on the card, "/sdcard/..." */
{ return open(in_folder(path + strlen("/sd")), flags); }

esp_cpu_cycle_count_t esp_cpu_get_cycle_count(void) { return 0; }

/* There is one core, and nothing reads ahead. */
BaseType_t xTaskCreatePinnedToCore(TaskFunction_t task, const char *name, uint32_t stack, void *arguments,
    UBaseType_t priority, TaskHandle_t *created, BaseType_t core)
{
    (void)task, (void)name, (void)stack, (void)arguments, (void)priority, (void)created, (void)core;
    return 0;
}

UBaseType_t uxTaskPriorityGet(TaskHandle_t task) { return task != NULL; }

BaseType_t xTaskNotifyGive(TaskHandle_t task) { return task != NULL; }

uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t ticks) { return (uint32_t)clear & ticks; }

void vTaskDelay(TickType_t ticks) { (void)ticks; }

SemaphoreHandle_t xSemaphoreCreateBinaryStatic(StaticSemaphore_t *memory)
{ return (SemaphoreHandle_t)memory; }

BaseType_t xSemaphoreTake(SemaphoreHandle_t semaphore, TickType_t ticks)
{ return semaphore != NULL && ticks != 0; }

BaseType_t xSemaphoreGive(SemaphoreHandle_t semaphore) { return semaphore != NULL; }

void esp_log_line(const char *tag, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", tag);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

/* -- button and console -------------------------------------------------------------------------------------------------- */

static int awaited; /* how often there was nothing to read since the last look at the button */

esp_err_t gpio_set_direction(gpio_num_t pin, gpio_mode_t mode)
{ return pin == GPIO_NUM_0 && mode == GPIO_MODE_INPUT ? ESP_OK : -1; }

esp_err_t gpio_set_pull_mode(gpio_num_t pin, gpio_pull_mode_t pull)
{ return pin == GPIO_NUM_0 && pull == GPIO_PULLUP_ONLY ? ESP_OK : -1; }

int gpio_get_level(gpio_num_t pin)
{
    static int looks, level;
    (void)pin;
    awaited = 0;
    while (!looks) {
        if (fscanf(button, "%d", &looks) != 1) exit(0);
        level = !level;
    }
    looks--;
    return level;
}

/* Nothing has come at first, and while one asks for the first time whether something has. */
int host_fgetc(FILE *f)
{
    static char typed[512] = "too early";
    static size_t at;
    (void)f;
    if (typed[at]) return (unsigned char)typed[at++];
    if (++awaited >= 2) {
        if (!fgets(typed, (int)sizeof typed - 2, console)) exit(5);
        strcpy(typed + strcspn(typed, "\n"), "\r\n");
        at = 0;
    }
    return EOF;
}

/* -- camera -------------------------------------------------------------------------------------------------------------- */

static int taken; /* out of the one buffer */

static int flip(sensor_t *sensor, int enable) { return sensor && enable ? 0 : -1; }

sensor_t *esp_camera_sensor_get(void)
{
    static sensor_t sensor = {NULL, flip};
    return &sensor;
}

esp_err_t esp_camera_init(const camera_config_t *config)
{
    if (config->fb_count != 1u || config->pin_sccb_sda != 4 || config->pin_d7 != 16) return -1;
    return access(in_folder("no-camera"), F_OK) == 0 ? -1 : ESP_OK;
}

camera_fb_t *esp_camera_fb_get(void)
{
    static uint8_t pixels[400 * 400 * 2];
    static camera_fb_t frame = {.buf = pixels};
    static unsigned number;
    char name[32];
    uint16_t sides[2] = {16, 16};
    if (taken++) exit(6);
    FILE *f = NULL;
    if (number++ % 2u) {
        snprintf(name, sizeof name, "%u.565", (number - 1u) / 2u);
        f = fopen(in_folder(name), "rb");
        if (!f || fread(sides, sizeof sides, 1, f) != 1) {
            taken = 0;
            return NULL;
        }
    }
    frame.width = sides[0];
    frame.height = sides[1];
    frame.len = f ? fread(pixels, 1, sizeof pixels, f) : 512u;
    if (f) fclose(f);
    return &frame;
}

void esp_camera_fb_return(camera_fb_t *frame)
{
    if (!frame || !taken--) exit(7);
}

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    folder = argv[1];
    button = fopen(in_folder("button"), "r");
    console = fopen(in_folder("console"), "r");
    if (!button || !console) return 2;
    app_main();
    return 0;
}
