/* SPDX-License-Identifier: MIT-0 */
/* Ways to stream the head from PSRAM or flash, and the choice among them when the board starts (bm_stream.h).
 *
 * preload: the cache fetches the lines of a block, and a kernel reads them there; nothing is copied. There is one engine, so
 * the cores take turns. Its functions are in ROM and not meant for applications (esp32s3/rom/cache.h), so it is the chip's
 * measurement that says whether they are of use.
 * gdma: esp_async_memcpy copies a block from PSRAM. It reads behind the cache, which writes back first.
 */
#include "espidf.h"

#if BM_STREAM_ROWS
#include "esp32s3/rom/cache.h"
#include "esp_attr.h"
#include "esp_idf_version.h"
#include "esp_memory_utils.h"
#include "esp_timer.h"
#if __has_include("esp_async_memcpy.h") /* of ESP-IDF 5 */
#include "esp_async_memcpy.h"
#define HAS_GDMA 1
#else
#define HAS_GDMA 0
#endif

#define LINE 64u /* of the data cache (sdkconfig.defaults.esp32s3) */
#define BURST 64u /* of DMA on PSRAM: the longest, by default it is 16 */

static uint32_t load(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }

static void store(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }

static struct {
    uint32_t taken; /* a core looks after the engine (atomic) */
    uint32_t runs, thread,
        autoload; /* whether lines of a thread's block come now, or of which they came last */
    uint32_t at[BM_THREADS];
    uint32_t bytes[BM_THREADS]; /* 0: all are there (atomic) */
} engine;

/* End what is done, and begin what waits: the other thread's first. */
static void look_after(void)
{
    if (__atomic_exchange_n(&engine.taken, 1u, __ATOMIC_ACQ_REL)) return;
    if (engine.runs && Cache_DCache_Preload_Done()) {
        Cache_End_DCache_Preload(engine.autoload);
        engine.runs = 0;
        store(&engine.bytes[engine.thread], 0);
    }
    for (uint32_t i = 0; !engine.runs && i < BM_THREADS; i++) {
        engine.thread = (engine.thread + 1u) % BM_THREADS;
        const uint32_t bytes = load(&engine.bytes[engine.thread]);
        if (!bytes) continue;
        engine.runs = 1;
        engine.autoload = Cache_Start_DCache_Preload(engine.at[engine.thread], bytes, 0);
    }
    store(&engine.taken, 0);
}

static const uint8_t *preload_start(uint32_t thread, uint8_t *into, const uint8_t *from, uint32_t bytes)
{
    const uint32_t lead = (uint32_t)(uintptr_t)from % LINE;
    (void)into;
    engine.at[thread] = (uint32_t)(uintptr_t)from - lead;
    store(&engine.bytes[thread], (lead + bytes + LINE - 1u) / LINE * LINE);
    look_after();
    return from;
}

static void preload_wait(uint32_t thread)
{
    while (load(&engine.bytes[thread])) look_after();
}

static const bm_stream preload = {"preload", preload_start, preload_wait};

#if HAS_GDMA
static struct async_memcpy_context_t *gdma;
static uint32_t coming[BM_THREADS]; /* a block is (atomic) */

static bool IRAM_ATTR has_come(struct async_memcpy_context_t *unused, async_memcpy_event_t *event, void *flag)
{
    (void)unused;
    (void)event;
    store(flag, 0);
    return false;
}

static const uint8_t *gdma_start(uint32_t thread, uint8_t *into, const uint8_t *from, uint32_t bytes)
{
    void *source = (void *)(uintptr_t)from;
    store(&coming[thread], 1u);
    if (esp_async_memcpy(gdma, into, source, bytes, has_come, &coming[thread]) == ESP_OK) return into;
    store(&coming[thread], 0); /* it is read where it lies */
    return from;
}

static void gdma_wait(uint32_t thread)
{
    while (load(&coming[thread])) {}
}

static const bm_stream by_gdma = {"gdma", gdma_start, gdma_wait};

/* Flash is out of its reach. */
static int gdma_begin(const uint8_t *head)
{
    async_memcpy_config_t config = ASYNC_MEMCPY_DEFAULT_CONFIG();
    if (!esp_ptr_external_ram(head)) return 0;
#if ESP_IDF_VERSION >= ESP_IDF_VERSION_VAL(5, 4, 0)
    config.dma_burst_size = BURST;
#else
    config.psram_trans_align = BURST; /* a block whose size is no multiple of it is refused */
#endif
    Cache_WriteBack_Addr((uint32_t)(uintptr_t)head, BM_HEAD_BYTES);
    return esp_async_memcpy_install(&config, &gdma) == ESP_OK;
}
#endif

static uint64_t micros(void *user)
{
    (void)user;
    return (uint64_t)esp_timer_get_time();
}

void espidf_stream_start(bm_state *s)
{
    const bm_stream *ways[BM_STREAM_WAYS] = {&bm_stream_copy, &preload, NULL};
    uint32_t count = 2;
#if HAS_GDMA
    if (gdma_begin(bm_head_weights(s))) ways[count++] = &by_gdma;
#endif
    bm_stream_choose(s, ways, count, micros, NULL, 1000000u);
}
#endif
