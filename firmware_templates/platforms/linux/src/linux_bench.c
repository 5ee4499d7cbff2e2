/* SPDX-License-Identifier: MIT-0 */
/* `bitmar bench`: kernels by shape, the whole decode step and the memory, median of many samples, one thread. */
#include "linux_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_internal.h"
#include "linux_output.h"

#define SAMPLES 301
#define SAMPLE_SECONDS 50e-6 /* a sample repeats the call until it takes about so long */
#define MEMORY_SAMPLES 31
#define POOL ((size_t)64 << 20) /* weights of a cold run: more than most caches hold */
#define SHORT_CONTEXT 16u

/* One call that is timed; `round` counts calls. */
typedef void (*work)(void *context, uint32_t round);

typedef struct {
    double median, p95, best; /* seconds per call */
} timing;

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static timing measure(work call, void *context, uint32_t samples)
{
    static double seconds[SAMPLES];
    uint32_t repeat = 1, round = 0;
    for (;; repeat *= 2u) {
        const double start = linux_now();
        for (uint32_t i = 0; i < repeat; i++) call(context, round++);
        if (linux_now() - start >= SAMPLE_SECONDS) break;
    }
    for (uint32_t k = 0; k < samples; k++) {
        const double start = linux_now();
        for (uint32_t i = 0; i < repeat; i++) call(context, round++);
        seconds[k] = (linux_now() - start) / repeat;
    }
    qsort(seconds, samples, sizeof *seconds, by_value);
    const timing t = {seconds[samples / 2u], seconds[samples * 95u / 100u], seconds[0]};
    return t;
}

/* -- kernels ------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *w;
    const int8_t *x;
    int32_t *y;
    uint32_t n, k;
    size_t bytes, copies; /* of the packed matrix; matrices that take turns */
} gemv;

static void run_gemv(void *context, uint32_t round)
{
    const gemv *g = context;
    bm_gemv_t2s8(g->w + g->bytes * (round % g->copies), g->x, 0, g->n, g->k, g->y);
}

static void print_gemv(gemv g, uint8_t *pool, const char *comma)
{
    g.bytes = (size_t)BM_PACKED_ROWS(g.n) * ((g.k + 63u) / 64u * 16u);
    g.w = pool;
    g.copies = 1;
    const timing warm = measure(run_gemv, &g, SAMPLES);
    g.copies = POOL > g.bytes ? POOL / g.bytes : 1;
    const timing cold = measure(run_gemv, &g, SAMPLES / 3u);
    printf(
        "  {\"n\": %u, \"k\": %u, \"bytes\": %zu, \"warm_ns\": %.2f, \"warm_p95_ns\": %.2f, \"warm_best_ns\": %.2f, "
        "\"cold_ns\": %.2f, \"cache_bytes_per_s\": %.6g}%s\n",
        g.n, g.k, (size_t)g.n * ((g.k + 63u) / 64u * 16u), 1e9 * warm.median, 1e9 * warm.p95, 1e9 * warm.best,
        1e9 * cold.median, linux_read_bandwidth(pool, g.bytes), comma);
}

/* -- the step ------------------------------------------------------------------------------- */

/* A stream that is held near one length: the caches stay as long as they are, token after token. */
typedef struct {
    bm_state *s;
    uint32_t limit;
} stream;

static void run_prefill(void *context, uint32_t round)
{
    const stream *at = context;
    if (at->s->t >= at->limit) at->s->t -= BM_READ_EVERY;
    bm_step(at->s, round * 31u % BM_VOCAB);
}

static void run_step(void *context, uint32_t round)
{
    static bm_sampler greedy;
    run_prefill(context, round);
    bm_pick(((const stream *)context)->s, &greedy);
}

static void ignore(void *context, uint32_t first, const int32_t *acc, uint32_t n)
{ (void)context, (void)first, (void)acc, (void)n; }

/* The ternary products of one token and nothing else, matrix after matrix as the step visits them. */
static void run_gemvs(void *context, uint32_t round)
{
    bm_state *s = context;
    (void)round;
    for (uint32_t i = 0; i < BM_ENC_LAYERS + BM_DEC_LAYERS; i++) {
        const bm_layer *layer = &bm_layers[i];
#define PRODUCT(w, rows, width) \
    bm_linear(s, layer->w, rows, width, (width) == BM_FFN ? s->hidden : s->codes, 0);
        BM_LAYER_PRODUCTS(PRODUCT)
#undef PRODUCT
    }
    bm_logits(s, ignore, NULL);
}

#ifdef BM_PROFILE
typedef struct {
    double last, spent[BM_PARTS];
} parts;

static void mark(void *context, uint32_t part)
{
    parts *p = context;
    const double now = linux_now();
    p->spent[part] += now - p->last;
    p->last = linux_now();
}

static void print_parts(stream *at)
{
    static const char *const name[BM_PARTS] = {"other", "gemv", "attention", "memory", "head", "pick"};
    static double seconds[BM_PARTS][SAMPLES];
    parts p;
    at->s->mark = mark;
    at->s->mark_context = &p;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        memset(&p, 0, sizeof p);
        p.last = linux_now();
        run_step(at, i);
        for (int k = 0; k < BM_PARTS; k++) seconds[k][i] = p.spent[k];
    }
    at->s->mark = NULL;
    printf(", \"parts_ns\": {");
    for (int k = 0; k < BM_PARTS; k++) {
        qsort(seconds[k], SAMPLES, sizeof **seconds, by_value);
        printf("\"%s\": %.1f%s", name[k], 1e9 * seconds[k][SAMPLES / 2], k + 1 < BM_PARTS ? ", " : "}");
    }
}
#else
static void print_parts(stream *at) { (void)at; }
#endif

static void print_step(bm_state *s, uint32_t context, float *features, const char *comma)
{
    stream at = {s, context + BM_READ_EVERY};
    bm_begin_episode(s);
    while (s->t < context) bm_step(s, s->t % BM_VOCAB);
    const timing step = measure(run_step, &at, SAMPLES), prefill = measure(run_prefill, &at, SAMPLES);
    const timing products = measure(run_gemvs, s, SAMPLES);
    printf(
        "  {\"context\": %u, \"step_ns\": %.1f, \"step_p95_ns\": %.1f, \"prefill_ns\": %.1f, \"gemvs_ns\": %.1f",
        context, 1e9 * step.median, 1e9 * step.p95, 1e9 * prefill.median, 1e9 * products.median);
    print_parts(&at);
    for (uint32_t i = 0; i < BM_IMAGE_INPUTS * BM_VISION; i++) features[i] = (float)(i * 37u % 255u) - 127.0f;
    if (bm_set_image(s, features) == BM_OK) /* from here on every step looks at it */
        printf(", \"image_step_ns\": %.1f", 1e9 * measure(run_step, &at, SAMPLES).median);
    printf("}%s\n", comma);
}

static void run_read(void *context, uint32_t round)
{
    bm_state *s = context;
    (void)round;
    bm_memory_read(&s->memory, s->q, 0.01f, s->out);
}

static void run_write(void *context, uint32_t round)
{
    (void)round;
    bm_end_episode(context);
}

/* A read of the memory, and an episode's write where it may be written. */
static void print_memory(bm_state *s, const uint64_t *written)
{
    if (!s->memory_on) return;
    const timing read = measure(run_read, s, MEMORY_SAMPLES);
    printf(" \"memory\": {\"slots\": %u, \"read_ns\": %.1f, \"read_p95_ns\": %.1f", BM_SLOTS,
        1e9 * read.median, 1e9 * read.p95);
    if (s->memory.rows.begin) {
        const timing write = measure(run_write, s, MEMORY_SAMPLES);
        printf(", \"write_ns\": %.1f, \"write_p95_ns\": %.1f", 1e9 * write.median, 1e9 * write.p95);
        if (written) printf(", \"written_bytes\": %llu", (unsigned long long)*written);
    }
    printf("},\n");
}

/* A line of this process's status in KiB; 0 where not known. RssAnon: memory that no file stands behind, the arena, the stack,
 * the C library. VmHWM: the most that was in RAM so far, the mapped weights that were read included. */
static long status_kib(const char *key)
{
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0) kib = strtol(line + strlen(key), NULL, 10);
    if (f) fclose(f);
    return kib;
}

static int print_gemvs(void)
{
    static const uint32_t shape[][2] = {{128, 128}, {512, 128}, {128, 512}, {BM_VOCAB, BM_D}};
    const size_t shapes = sizeof shape / sizeof *shape;
    const size_t head = (size_t)BM_PACKED_ROWS(BM_VOCAB) * BM_ROW_BYTES(BM_D),
                 size = head > POOL ? head : POOL;
    uint8_t *memory = malloc(size + 64u);
    int8_t *x = calloc(1, 4096);
    int32_t *y = malloc(BM_PAD_ROWS(BM_VOCAB > 512u ? BM_VOCAB : 512u) * sizeof *y);
    if (!memory || !x || !y) return linux_fail("bench", "not enough memory");
    uint8_t *pool = memory + (64u - (uintptr_t)memory % 64u) % 64u;
    for (size_t i = 0; i < size; i++) pool[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int i = 0; i < 4096; i++) x[i] = (int8_t)(i * 37 % 255 - 127);
    for (size_t i = 0; i < shapes; i++) {
        const gemv g = {NULL, x, y, shape[i][0], shape[i][1], 0, 1};
        print_gemv(g, pool, i + 1 < shapes ? "," : "");
    }
    free(memory);
    free(x);
    free(y);
    return 0;
}

int linux_bench(bm_state *s, int kernels, float *features, const uint64_t *written)
{
    printf(
        "{\"family\": \"%s\", \"model\": \"%s\", \"board\": \"%s\",\n \"clock_hz\": %.6g, \"peak_macs_per_s\": %.6g, "
        "\"arena_bytes\": %u,\n \"step\": [\n",
        BM_KERNELS_NAME, BM_MODEL_NAME, BM_BOARD, linux_clock(), linux_peak_macs(), BM_RAM_TOTAL);
    print_step(s, SHORT_CONTEXT < BM_CONTEXT ? SHORT_CONTEXT : BM_CONTEXT, features, ",");
    print_step(s, BM_CONTEXT, features, "");
    printf(" ],\n");
    print_memory(s, written);
    printf(" \"anonymous_kib\": %ld, \"peak_kib\": %ld,\n \"gemv\": [\n", status_kib("RssAnon:"),
        status_kib("VmHWM:"));
    const int bad = kernels ? print_gemvs() : 0;
    printf(" ]}\n");
    return bad;
}
