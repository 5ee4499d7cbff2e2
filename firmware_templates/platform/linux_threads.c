/* One caller, a few helpers. A helper spins for the next job for a while, since the next product of a step comes within
 * microseconds, and sleeps when it does not: an idle program costs nothing.
 */
#include "linux_threads.h"

#include <pthread.h>
#include <sched.h>

#define SPINS 20000u     /* about 20 to 100 microseconds */

static struct {
    pthread_t thread[LINUX_MAX_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bm_part_fn work;
    void *job;
    uint32_t parts;
    uint32_t number;     /* of the job; a change is the signal to start (atomic) */
    uint32_t running;    /* helpers that have not finished it (atomic) */
    uint32_t asleep;     /* under the lock */
    int stop;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Wait for a job other than `last`; returns its number. */
static uint32_t next_job(uint32_t last)
{
    for (uint32_t i = 0; i < SPINS; i++) {
        const uint32_t number = __atomic_load_n(&pool.number, __ATOMIC_ACQUIRE);
        if (number != last) return number;
        pause_briefly();
    }
    pthread_mutex_lock(&pool.lock);
    pool.asleep++;
    while (__atomic_load_n(&pool.number, __ATOMIC_ACQUIRE) == last) pthread_cond_wait(&pool.wake, &pool.lock);
    pool.asleep--;
    pthread_mutex_unlock(&pool.lock);
    return __atomic_load_n(&pool.number, __ATOMIC_ACQUIRE);
}

static void *help(void *argument)
{
    const uint32_t part = (uint32_t)(uintptr_t)argument;
    for (uint32_t last = 0;;) {
        last = next_job(last);
        if (pool.stop) return NULL;
        pool.work(pool.job, part, pool.parts);
        __atomic_fetch_sub(&pool.running, 1u, __ATOMIC_RELEASE);
    }
}

/* The number changes under the lock, so that a helper about to sleep cannot miss it. */
static void publish(void)
{
    pthread_mutex_lock(&pool.lock);
    __atomic_fetch_add(&pool.number, 1u, __ATOMIC_RELEASE);
    if (pool.asleep) pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
}

static void split(bm_part_fn work, void *job)
{
    pool.work = work;
    pool.job = job;
    __atomic_store_n(&pool.running, pool.parts - 1u, __ATOMIC_RELAXED);
    publish();
    work(job, 0, pool.parts);
    for (uint32_t i = 0; __atomic_load_n(&pool.running, __ATOMIC_ACQUIRE); i++) {
        if (i < SPINS) pause_briefly();
        else sched_yield();
    }
}

int linux_threads_start(bm_state *s, uint32_t threads)
{
    pool.stop = 0;
    pool.parts = 1;
    pool.number = 0;
    for (uint32_t i = 1; i < threads && i < LINUX_MAX_THREADS; i++, pool.parts++)
        if (pthread_create(&pool.thread[i], NULL, help, (void *)(uintptr_t)i) != 0) {
            linux_threads_stop(s);
            return -1;
        }
    s->split = pool.parts > 1u ? split : NULL;
    return 0;
}

void linux_threads_stop(bm_state *s)
{
    s->split = NULL;
    pool.stop = 1;
    publish();
    for (uint32_t i = 1; i < pool.parts; i++) pthread_join(pool.thread[i], NULL);
    pool.parts = 1;
}
