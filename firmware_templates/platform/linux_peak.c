/* The limits to hold kernels against: clock, 8-bit multiply-adds and read bandwidth. Compiled like a kernel. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <time.h>

#include "linux_bench.h"

#define CHAINS 10          /* independent accumulators: more than latency times instructions per cycle */
#define ROUNDS 20000
#define TRIES 9            /* the best counts: a limit is what the machine can do undisturbed */

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
            __asm__ volatile("" : "+r"(x));      /* every addition happens, one after the other: one cycle each */
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
#define MAC(acc, a, b) vmlal_s8(acc, vget_low_s8(vreinterpretq_s8_s16(a)), vget_low_s8(vreinterpretq_s8_s16(b)))
#define KEEP(v) __asm__ volatile("" : "+w"(v))
#endif

#if defined(MACS)
double linux_peak_macs(void)
{
    double best = 0.0;
    lanes acc[CHAINS], a = ZERO, b = ZERO;
    for (int c = 0; c < CHAINS; c++) acc[c] = ZERO;
    KEEP(a);
    KEEP(b);
    for (int i = 0; i < TRIES; i++) {
        const double start = linux_now();
        for (int j = 0; j < ROUNDS; j++)
            for (int c = 0; c < CHAINS; c++) {
                acc[c] = MAC(acc[c], a, b);
                KEEP(acc[c]);
            }
        const double rate = (double)MACS * CHAINS * ROUNDS / (linux_now() - start);
        if (rate > best) best = rate;
    }
    return best;
}
#else
double linux_peak_macs(void)
{
    return 0.0;
}
#endif

typedef uint64_t line __attribute__((vector_size(64)));

double linux_read_bandwidth(const void *data, size_t bytes)
{
    const line *p = data;
    const size_t n = bytes / sizeof *p / 4u * 4u, again = (size_t)1 + ((size_t)1 << 26) / (bytes + 1u);
    double best = 0.0;
    for (int i = 0; i < TRIES; i++) {
        line a = {0}, b = {0}, c = {0}, d = {0};
        const double start = linux_now();
        for (size_t r = 0; r < again; r++) {
            for (size_t j = 0; j < n; j += 4) {
                a |= p[j];
                b |= p[j + 1];
                c |= p[j + 2];
                d |= p[j + 3];
            }
            __asm__ volatile("" : : "r"(p) : "memory");
        }
        const double rate = (double)(n * sizeof *p * again) / (linux_now() - start);
        a |= b | c | d;
        volatile uint64_t sink = a[0];
        (void)sink;
        if (rate > best) best = rate;
    }
    return best;
}
