/* SPDX-License-Identifier: MIT-0 */
/* The limits to hold kernels against: clock, 8-bit multiply-adds and read bandwidth. Compiled like a kernel. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <time.h>

#include "linux_bench.h"

#define ROUNDS 20000
#define TRIES 9 /* the best counts: a limit is what the machine can do undisturbed */

double linux_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double linux_clock(void)
{
    double best = 0.0;
    for (int i = 0; i < TRIES; i++) {
        uint64_t x = 0;
        const double start = linux_now();
        for (int j = 0; j < 100 * ROUNDS; j++) {
            x += 1u;
            __asm__ volatile("" : "+r"(x)); /* every addition happens, one after the other: one cycle each */
        }
        const double rate = 100.0 * ROUNDS / (linux_now() - start);
        if (rate > best) best = rate;
    }
    return best;
}

#if defined(__AVX512VNNI__)
#include <immintrin.h>
#define MACS 64
typedef __m512i lanes;
#define ZERO _mm512_setzero_si512()
#define MAC(acc, a, b) _mm512_dpbusd_epi32(acc, a, b)
#define KEEP(v) __asm__ volatile("" : "+v"(v))
#elif defined(__AVXVNNI__)
#include <immintrin.h>
#define MACS 32
typedef __m256i lanes;
#define ZERO _mm256_setzero_si256()
#define MAC(acc, a, b) _mm256_dpbusd_avx_epi32(acc, a, b)
#define KEEP(v) __asm__ volatile("" : "+x"(v))
#elif defined(__AVX2__)
#include <immintrin.h>
#define MACS 32
typedef __m256i lanes;
#define ZERO _mm256_setzero_si256()
#define MAC(acc, a, b) _mm256_add_epi16(acc, _mm256_maddubs_epi16(a, b))
#define KEEP(v) __asm__ volatile("" : "+x"(v))
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#define MACS 16
typedef int32x4_t lanes;
#define ZERO vdupq_n_s32(0)
#define MAC(acc, a, b) vdotq_s32(acc, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))
#define KEEP(v) __asm__ volatile("" : "+w"(v))
#elif defined(__aarch64__)
#include <arm_neon.h>
#define MACS 8
typedef int16x8_t lanes;
#define ZERO vdupq_n_s16(0)
#define MAC(acc, a, b) \
    vmlal_s8(acc, vget_low_s8(vreinterpretq_s8_s16(a)), vget_low_s8(vreinterpretq_s8_s16(b)))
#define KEEP(v) __asm__ volatile("" : "+w"(v))
#endif

#if defined(MACS)
#define STEP(acc) \
    do { \
        KEEP(b); /* or a product that does not change would be computed once */ \
        acc = MAC(acc, a, b); \
        KEEP(acc); \
    } while (0)

/* Ten accumulators: more than latency times instructions per cycle. */
static lanes mac_loop(lanes a, lanes b)
{
    lanes s0 = ZERO, s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0, s8 = s0, s9 = s0;
    for (int j = 0; j < ROUNDS; j++) {
        STEP(s0);
        STEP(s1);
        STEP(s2);
        STEP(s3);
        STEP(s4);
        STEP(s5);
        STEP(s6);
        STEP(s7);
        STEP(s8);
        STEP(s9);
    }
    return s0;
}

double linux_peak_macs(void)
{
    double best = 0.0;
    lanes a = ZERO, b = ZERO;
    KEEP(a);
    KEEP(b);
    for (int i = 0; i < TRIES; i++) {
        const double start = linux_now();
        lanes sum = mac_loop(a, b);
        KEEP(sum);
        const double rate = (double)MACS * 10.0 * ROUNDS / (linux_now() - start);
        if (rate > best) best = rate;
    }
    return best;
}
#else
double linux_peak_macs(void) { return 0.0; }
#endif

typedef uint64_t line __attribute__((vector_size(32)));

/* Four loads at a time into four accumulators, as wide as the registers of the family are. */
static uint64_t read_all(const line *p, size_t n)
{
    line s0 = {0}, s1 = s0, s2 = s0, s3 = s0;
    for (size_t j = 0; j < n; j += 4) {
        s0 |= p[j];
        s1 |= p[j + 1];
        s2 |= p[j + 2];
        s3 |= p[j + 3];
    }
    s0 |= s1 | s2 | s3;
    return s0[0] | s0[3];
}

double linux_read_bandwidth(const void *data, size_t bytes)
{
    const size_t n = bytes / sizeof(line) / 4u * 4u, again = (size_t)1 + ((size_t)1 << 26) / (bytes + 1u);
    double best = 0.0;
    for (int i = 0; i < TRIES; i++) {
        uint64_t sum = 0;
        const double start = linux_now();
        for (size_t r = 0; r < again; r++) {
            sum |= read_all(data, n);
            __asm__ volatile("" : "+r"(sum) : "r"(data) : "memory");
        }
        const double rate = (double)(n * sizeof(line) * again) / (linux_now() - start);
        if (rate > best) best = rate;
    }
    return best;
}
