/* SPDX-License-Identifier: MIT-0 */
/* Two cores: a task on core 1 does part 1 of every job, the caller on core 0 does part 0.
 *
 * The next job of a step comes within microseconds, so the helper looks for it for a while before it sleeps; a notification
 * wakes it. Which core computes a part does not change its bits.
 *
 * The registers of PIE are coprocessor 3 (cop_ai, 208 bytes; ESP-IDF 5.5.5, xtensa/esp32s3/include/xtensa/config/tie.h).
 * FreeRTOS saves them lazily, on the stack of the task that owns them, when another task of the core uses them, and pins
 * a task that uses them to its core (_xt_coproc_exc, _frxt_coproc_exc_hook): both tasks are pinned anyway. A task that
 * yields keeps none of them, as at any call in C; a kernel does not yield. An interrupt handler that uses them panics.
 * The FPU of an ESP32-P4 is saved, and its task pinned, in the same way (portable/riscv/portasm.S).
 */
#include "espidf.h"

#if BM_THREADS > 1
#include "esp_cpu.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#define SPIN_CYCLES (200u * CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ)  /* 200 us */

static struct {
    TaskHandle_t helper;
    bm_part_fn work;
    void *job;
    uint32_t number;   /* of the job; a change is the signal to start (atomic) */
    uint32_t done;     /* number of the last job whose part 1 is finished (atomic) */
    uint32_t asleep;   /* the helper wants a notification (atomic) */
} pool;

static uint32_t load(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }

static void store(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }

/* Wait for a job other than `last`. Whoever publishes a job after `asleep` is set sends a notification, and a number that
 * was changed before is seen by the second look: no job is missed. */
static uint32_t next_job(uint32_t last)
{
    for (;;) {
        const uint32_t since = esp_cpu_get_cycle_count();
        while (esp_cpu_get_cycle_count() - since < SPIN_CYCLES)
            if (load(&pool.number) != last) return load(&pool.number);
        store(&pool.asleep, 1);
        if (load(&pool.number) == last) ulTaskNotifyTake(pdTRUE, portMAX_DELAY);
        store(&pool.asleep, 0);
    }
}

static void help(void *unused)
{
    (void)unused;
    for (uint32_t last = 0;;) {
        last = next_job(last);
        pool.work(pool.job, 1, 2);
        store(&pool.done, last);
    }
}

static void split(bm_part_fn work, void *job)
{
    const uint32_t number = load(&pool.number) + 1u;
    pool.work = work;
    pool.job = job;
    store(&pool.number, number);
    if (load(&pool.asleep)) xTaskNotifyGive(pool.helper);
    work(job, 0, 2);
    while (load(&pool.done) != number) {}
}

int espidf_split_start(bm_state *s)
{
    const uint32_t stack = CONFIG_ESP_MAIN_TASK_STACK_SIZE;
    if (xTaskCreatePinnedToCore(help, "bitmar", stack, NULL, uxTaskPriorityGet(NULL), &pool.helper, 1) !=
        pdPASS)
        return -1;
    s->split = split;
    return 0;
}
#endif
