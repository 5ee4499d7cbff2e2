/* SPDX-License-Identifier: Apache-2.0 */
/* espidf_store.c on this computer: a folder is the card, threads are FreeRTOS's tasks. For a thread sanitizer.
 *
 *   espidf_card FOLDER DELAY_US EPISODES
 *
 * The card takes up to DELAY_US for a call and moves fewer bytes than it is asked for. Prints every block of the memory, high
 * codes and scales, before the first episode and after each; episode e adds e to the first code of every block. Exit 3: the
 * store does not open, with why on stderr.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

#include "bm_store.h"
#include "espidf_store.h"
#include "esp_log.h"
#include "esp_vfs_fat.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"

static const char *folder;
static unsigned delay_us, turn;
static bm_tier rows;
static _Alignas(64) uint8_t work[BM_STORE_BUFFERS(BM_D)];

/* -- the card ------------------------------------------------------------------------------------------------------------ */

static size_t some(size_t n)
{
    const unsigned any = __atomic_add_fetch(&turn, 1, __ATOMIC_RELAXED) * 2654435761u >> 8;
    if (delay_us) usleep(any % delay_us);
    return n > 1 && any % 3u == 0 ? 1 + any % n : n;
}

int host_open(const char *path, int flags, ...)
{
    char name[4096];
    snprintf(name, sizeof name, "%s%s", folder, path + strlen("/sdcard"));
    return open(name, flags);
}

ssize_t host_read(int file, void *to, size_t n) { return read(file, to, some(n)); }

ssize_t host_write(int file, const void *from, size_t n) { return write(file, from, some(n)); }

esp_err_t esp_vfs_fat_sdmmc_mount(const char *path, const sdmmc_host_t *host, const void *slot,
    const esp_vfs_fat_mount_config_t *mount, sdmmc_card_t **card)
{
    (void)path, (void)host, (void)slot, (void)mount, (void)card;
    return access(folder, F_OK);
}

/* -- FreeRTOS ------------------------------------------------------------------------------------------------------------ */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int notified, given; /* of the only task and the only semaphore */

static void put(int *flag)
{
    pthread_mutex_lock(&lock);
    *flag = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void take(int *flag)
{
    pthread_mutex_lock(&lock);
    while (!*flag) pthread_cond_wait(&changed, &lock);
    *flag = 0;
    pthread_mutex_unlock(&lock);
}

SemaphoreHandle_t xSemaphoreCreateBinaryStatic(StaticSemaphore_t *memory)
{ return (SemaphoreHandle_t)memory; }

BaseType_t xSemaphoreTake(SemaphoreHandle_t semaphore, TickType_t ticks)
{
    (void)semaphore, (void)ticks;
    take(&given);
    return pdTRUE;
}

BaseType_t xSemaphoreGive(SemaphoreHandle_t semaphore)
{
    (void)semaphore;
    put(&given);
    return pdTRUE;
}

uint32_t ulTaskNotifyTake(BaseType_t clear, TickType_t ticks)
{
    (void)clear, (void)ticks;
    take(&notified);
    return 1;
}

BaseType_t xTaskNotifyGive(TaskHandle_t task)
{
    (void)task;
    put(&notified);
    return pdTRUE;
}

UBaseType_t uxTaskPriorityGet(TaskHandle_t task)
{
    (void)task;
    return 1;
}

static TaskFunction_t body;

static void *run(void *arguments)
{
    body(arguments);
    return NULL;
}

BaseType_t xTaskCreatePinnedToCore(TaskFunction_t task, const char *name, uint32_t stack, void *arguments,
    UBaseType_t priority, TaskHandle_t *created, BaseType_t core)
{
    static pthread_t thread;
    (void)name, (void)stack, (void)priority, (void)core;
    body = task;
    *created = (TaskHandle_t)&thread;
    return pthread_create(&thread, NULL, run, arguments) == 0 ? pdPASS : 0;
}

/* -- the model's side ---------------------------------------------------------------------------------------------------- */

void *bm_store_work(bm_state *s)
{
    (void)s;
    return work;
}

void bm_use_memory(bm_state *s, const bm_tier *given_rows)
{
    (void)s;
    rows = *given_rows;
}

static void need(bm_status status)
{
    if (status == BM_OK) return;
    fprintf(stderr, "%s\n", bm_store_text(((bm_store *)rows.context)->status));
    exit(4);
}

static void print_memory(void)
{
    bm_block_rows r;
    for (uint32_t b = 0; b * BM_READ_BLOCK < BM_SLOTS; b++) {
        need(rows.get(rows.context, b, BM_TIER_READ, &r));
        fwrite(r.high, BM_PAD(BM_D), r.n, stdout);
        fwrite(r.scales, sizeof *r.scales, r.n, stdout);
    }
}

void esp_log_line(const char *tag, const char *format, ...) { (void)tag, (void)format; }

static void write_episode(int episode)
{
    bm_block_rows r;
    need(rows.begin(rows.context));
    for (uint32_t b = 0; b * BM_READ_BLOCK < BM_SLOTS; b++) {
        need(rows.get(rows.context, b, BM_TIER_CHANGE, &r));
        r.high[0] = (int8_t)(r.high[0] + episode);
        need(rows.put(rows.context, b, 1));
    }
    need(rows.commit(rows.context));
}

int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    folder = argv[1];
    delay_us = (unsigned)atoi(argv[2]);
    static bm_state state;
    static uint8_t blob[48] = {0};
    static const uint8_t digest[32] = BM_MODEL_DIGEST;
    memcpy(blob + 16, digest, sizeof digest);
    state.blob = blob;
    const char *why = espidf_store_start(&state, 0);
    if (why) {
        fprintf(stderr, "%s\n", why);
        return 3;
    }
    print_memory();
    for (int e = 1; e <= atoi(argv[3]) && rows.begin; e++) {
        write_episode(e);
        print_memory();
    }
    return 0;
}
