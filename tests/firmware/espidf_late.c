/* SPDX-License-Identifier: Apache-2.0 */
/* What espidf_stream.c calls, late: a cache that has to be asked several times, and a DMA whose blocks come after a while. A
 * target holds garbage until then. Whoever breaks a rule of these functions ends the program. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "esp32s3/rom/cache.h"
#include "esp_async_memcpy.h"
#include "esp_idf_version.h"
#include "esp_memory_utils.h"
#include "esp_timer.h"

#define AUTOLOAD 7u
#define BACKLOG 8u

static uint32_t asked; /* times, since the lines of the cache were begun; 0: none are */
static int written_back;

uint32_t Cache_Start_DCache_Preload(uint32_t addr, uint32_t size, uint32_t order)
{
    if (asked || addr % 64u || size % 64u || order) abort();
    asked = 1;
    return AUTOLOAD;
}

uint32_t Cache_DCache_Preload_Done(void) { return ++asked > 5u; }

void Cache_End_DCache_Preload(uint32_t autoload)
{
    if (asked <= 5u || autoload != AUTOLOAD) abort();
    asked = 0;
}

int Cache_WriteBack_Addr(uint32_t addr, uint32_t size)
{
    (void)addr;
    written_back = size > 0;
    return 0;
}

bool esp_ptr_external_ram(const void *p)
{
    (void)p;
    return getenv("HEAD_IN_FLASH") == NULL;
}

int64_t esp_timer_get_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static struct {
    void *to, *from, *user;
    size_t bytes;
    async_memcpy_isr_cb_t call;
} job[BACKLOG];
static size_t head, tail; /* of the jobs, under the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;

static void *copy(void *unused)
{
    const struct timespec late = {0, 30000};
    for (;;) {
        pthread_mutex_lock(&lock);
        while (head == tail) pthread_cond_wait(&more, &lock);
        pthread_mutex_unlock(&lock);
        nanosleep(&late, NULL);
        memcpy(job[head % BACKLOG].to, job[head % BACKLOG].from, job[head % BACKLOG].bytes);
        job[head % BACKLOG].call(NULL, NULL, job[head % BACKLOG].user);
        pthread_mutex_lock(&lock);
        head++;
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

esp_err_t esp_async_memcpy_install(const async_memcpy_config_t *config, async_memcpy_t *asmcp)
{
    pthread_t thread;
    *asmcp = NULL;
    if ((ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 4, 0) ? config->dma_burst_size
                                                         : config->psram_trans_align) != 64)
        abort();
    return config->backlog && pthread_create(&thread, NULL, copy, NULL) == 0 ? ESP_OK : -1;
}

esp_err_t esp_async_memcpy(
    async_memcpy_t asmcp, void *dst, void *src, size_t n, async_memcpy_isr_cb_t cb_isr, void *cb_args)
{
    (void)asmcp;
    if (!written_back) abort();
    memset(dst, 0x5A, n);
    pthread_mutex_lock(&lock);
    const int room = tail - head < BACKLOG;
    if (room) {
        job[tail % BACKLOG].to = dst;
        job[tail % BACKLOG].from = src;
        job[tail % BACKLOG].bytes = n;
        job[tail % BACKLOG].call = cb_isr;
        job[tail % BACKLOG].user = cb_args;
        tail++;
        pthread_cond_signal(&more);
    }
    pthread_mutex_unlock(&lock);
    return room ? ESP_OK : -1;
}
