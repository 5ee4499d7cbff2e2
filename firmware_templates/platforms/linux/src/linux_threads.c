/* SPDX-License-Identifier: MIT-0 */
/* One caller, a few helpers. Parts of a job are claimed one by one, so that a helper whose core is busy elsewhere holds
 * nobody up: the caller computes what nobody has begun. Which thread computes a part does not change its rows, nor the
 * bits. A helper spins for the next job for a while, since the next product of a step comes within microseconds, and
 * sleeps when it does not: an idle program costs nothing. The caller spins, then sleeps, for parts that were begun.
 */
#define _GNU_SOURCE
#include "linux_threads.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#define SPIN_SECONDS 50e-6
#define PART_BITS 8u /* of a claim: one word, so that a processor of 32 bits can exchange it */
#define FIRST_PART(number) ((uint32_t)(number) << PART_BITS)

static struct {
    pthread_t thread[LINUX_MAX_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bm_part_fn work;
    void *job;
    pthread_cond_t done;
    uint32_t parts;
    uint32_t number; /* of the job; a change is the signal to start (atomic) */
    uint32_t claim; /* number of the job, but for its highest bits, and next part (atomic) */
    uint32_t left; /* parts that are not finished (atomic) */
    uint32_t asleep; /* helpers, under the lock */
    int waiting; /* the caller sleeps, under the lock */
    int stop;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
    .wake = PTHREAD_COND_INITIALIZER,
    .done = PTHREAD_COND_INITIALIZER,
    .parts = 1};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

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
    const double until = seconds() + SPIN_SECONDS;
    do {
        for (int i = 0; i < 16; i++) {
            const uint32_t number = __atomic_load_n(&pool.number, __ATOMIC_ACQUIRE);
            if (number != last) return number;
            pause_briefly();
        }
    } while (seconds() < until);
    pthread_mutex_lock(&pool.lock);
    pool.asleep++;
    while (__atomic_load_n(&pool.number, __ATOMIC_ACQUIRE) == last) pthread_cond_wait(&pool.wake, &pool.lock);
    pool.asleep--;
    pthread_mutex_unlock(&pool.lock);
    return __atomic_load_n(&pool.number, __ATOMIC_ACQUIRE);
}

/* Claim a part of job `number`; -1 when none is left, or the job is over. The number in the claim keeps a helper that
 * wakes up late from taking a part of a later job by mistake. */
static int claim(uint32_t number)
{
    uint32_t old = __atomic_load_n(&pool.claim, __ATOMIC_ACQUIRE);
    while (old - FIRST_PART(number) < pool.parts)
        if (__atomic_compare_exchange_n(&pool.claim, &old, old + 1u, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return (int)(old - FIRST_PART(number));
    return -1;
}

static void work_on(uint32_t number)
{
    for (int part = claim(number); part >= 0; part = claim(number)) {
        pool.work(pool.job, (uint32_t)part, pool.parts);
        if (__atomic_sub_fetch(&pool.left, 1u, __ATOMIC_ACQ_REL) == 0) {
            pthread_mutex_lock(&pool.lock);
            if (pool.waiting) pthread_cond_signal(&pool.done);
            pthread_mutex_unlock(&pool.lock);
        }
    }
}

static void *help(void *unused)
{
    (void)unused;
    for (uint32_t last = 0;;) {
        last = next_job(last);
        if (__atomic_load_n(&pool.stop, __ATOMIC_ACQUIRE)) return NULL;
        work_on(last);
    }
}

/* The number changes under the lock, so that a helper about to sleep cannot miss it. */
static uint32_t publish(void)
{
    pthread_mutex_lock(&pool.lock);
    const uint32_t number = __atomic_load_n(&pool.number, __ATOMIC_RELAXED) + 1u;
    __atomic_store_n(&pool.claim, FIRST_PART(number), __ATOMIC_RELEASE);
    __atomic_store_n(&pool.number, number, __ATOMIC_RELEASE);
    if (pool.asleep) pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
    return number;
}

static void finish(void)
{
    const double until = seconds() + SPIN_SECONDS;
    while (__atomic_load_n(&pool.left, __ATOMIC_ACQUIRE)) {
        if (seconds() < until) {
            pause_briefly();
            continue;
        }
        pthread_mutex_lock(&pool.lock);
        pool.waiting = 1;
        while (__atomic_load_n(&pool.left, __ATOMIC_ACQUIRE)) pthread_cond_wait(&pool.done, &pool.lock);
        pool.waiting = 0;
        pthread_mutex_unlock(&pool.lock);
    }
}

static void split(bm_part_fn work, void *job)
{
    pool.work = work;
    pool.job = job;
    __atomic_store_n(&pool.left, pool.parts, __ATOMIC_RELEASE);
    work_on(publish());
    finish();
}

/* Processors that this program may use: more threads than that only wait for each other. */
static uint32_t processors(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return LINUX_MAX_THREADS;
    return (uint32_t)CPU_COUNT(&set);
}

int linux_threads_start(bm_state *s, uint32_t threads)
{
    const uint32_t most = processors(), wanted = threads < most ? threads : most;
    uint32_t started = 1;
    pool.stop = 0;
    pool.number = 0;
    pool.claim = 0;
    for (; started < wanted && started < LINUX_MAX_THREADS; started++)
        if (pthread_create(&pool.thread[started], NULL, help, NULL) != 0) {
            pool.parts = started;
            linux_threads_stop(s);
            return -1;
        }
    pool.parts = started;
    s->split = started > 1u ? split : NULL;
    return 0;
}

void linux_threads_stop(bm_state *s)
{
    s->split = NULL;
    __atomic_store_n(&pool.stop, 1, __ATOMIC_RELEASE);
    publish();
    for (uint32_t i = 1; i < pool.parts; i++) pthread_join(pool.thread[i], NULL);
    pool.parts = 1;
}
