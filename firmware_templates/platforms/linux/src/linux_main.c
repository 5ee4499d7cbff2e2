/* SPDX-License-Identifier: MIT-0 */
/* The model as a Linux program: text and picture in, text out; and the link, over which a host does everything else.
 *
 *   bitmar generate [--image FILE] [--prompt TEXT] [--tokens N] [--temperature T] [--top-k K] [--seed S]
 *                   [--no-memory] [--ids] [--threads N] [--remember]
 *   bitmar info
 *   bitmar bench                       (kernels and steps, as JSON; with -DBM_PROFILE by part, too)
 *   bitmar profile                     (the same without the kernels)
 *   bitmar link [--port TTY] [--baud N]  (answer a host over a serial port, or over standard input and output)
 *
 * A program whose memory is in a store takes [--store FILE] (default: memory.store) and [--optional-memory]: go on without it
 * when it cannot be used. --remember writes the episode into the memory when it is over.
 *
 * FILE: .ppm (P6, cut into 16x16 patches), .u8 (raw patches) or .f32 (raw float features).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitmar.h"
#include "bm_selftest.h"
#include "linux_bench.h"
#include "linux_link.h"
#if BM_MEMORY_IN_STORE
#include "bm_store.h"
#include "linux_store.h"
#endif
#include "linux_threads.h"

#define MAX_PROMPT 4096

extern const uint8_t bm_blob[], bm_blob_end[];

static uint8_t memory[BM_RAM_TOTAL] __attribute__((aligned(64)));
static float features[BM_IMAGE_INPUTS * BM_VISION];
static uint8_t patches[BM_IMAGE_INPUTS * BM_VISION];

typedef struct {
    const char *image, *prompt;
    uint32_t tokens, top_k;
    uint64_t seed;
    float temperature;
    int no_memory, ids, remember, optional_memory;
    const char *store, *port;
    uint32_t threads, baud;
} options;

static char reason[256]; /* of the last failure */

static int fail(const char *what, const char *why)
{
    snprintf(reason, sizeof reason, "%s: %s", what, why);
    fprintf(stderr, "bitmar: %s: %s\n", what, why);
    return 2;
}

/* Side of the picture whose grid of 16x16 patches, or pyramid of such grids, makes `inputs` vectors; 0 if none does. */
static unsigned picture_side(unsigned inputs, int *pyramid)
{
    unsigned sum = 1, grid = 1;
    for (*pyramid = 0; grid * grid <= inputs; grid++)
        if (grid * grid == inputs) return 16u * grid;
    for (*pyramid = 1, grid = 1; sum < inputs;) {
        grid *= 2u;
        sum += grid * grid;
    }
    return sum == inputs ? 16u * grid : 0u;
}

/* rgb [side][side][3] -> patches, row by row; returns where the next ones go. */
static uint8_t *cut(const uint8_t *rgb, unsigned side, uint8_t *out)
{
    for (unsigned gy = 0; gy < side; gy += 16u)
        for (unsigned gx = 0; gx < side; gx += 16u)
            for (unsigned y = 0; y < 16u; y++, out += 48) memcpy(out, rgb + ((gy + y) * side + gx) * 3u, 48);
    return out;
}

/* Average 2x2 pixels in place, halves up. */
static void halve(uint8_t *rgb, unsigned side)
{
    for (unsigned y = 0; y < side; y += 2u)
        for (unsigned x = 0; x < side; x += 2u)
            for (unsigned c = 0; c < 3u; c++) {
                const uint8_t *p = rgb + (y * side + x) * 3u + c, *q = p + side * 3u;
                rgb[(y / 2u * (side / 2u) + x / 2u) * 3u + c] = (uint8_t)((p[0] + p[3] + q[0] + q[3] + 2) /
                                                                          4);
            }
}

/* P6 picture -> patches, the finest grid first. Returns NULL or a reason. */
static const char *read_ppm(FILE *f)
{
    static uint8_t rgb[BM_IMAGE_INPUTS * BM_VISION];
    unsigned width = 0, height = 0, depth = 0;
    int pyramid = 0;
    unsigned side = picture_side(BM_IMAGE_INPUTS, &pyramid);
    if (side == 0) return "this model does not take pictures";
    if (fscanf(f, "P6 %u %u %u", &width, &height, &depth) != 3 || depth != 255)
        return "not an 8-bit P6 picture";
    if (width != side || height != side) return "the picture has the wrong size; see 'bitmar info'";
    if (fgetc(f) == EOF || fread(rgb, 1, (size_t)side * side * 3u, f) != (size_t)side * side * 3u)
        return "the picture is cut short";
    uint8_t *next = cut(rgb, side, patches);
    for (; pyramid && side > 16u; side /= 2u) {
        halve(rgb, side);
        next = cut(rgb, side / 2u, next);
    }
    return NULL;
}

static const char *read_image(const char *path, bm_state *s)
{
    const char *dot = strrchr(path, '.'), *why = NULL;
    FILE *f = fopen(path, "rb");
    if (!f) return strerror(errno);
    if (dot && strcmp(dot, ".f32") == 0) {
        if (fread(features, 1, sizeof features, f) != sizeof features) why = "the features are cut short";
    } else if (dot && strcmp(dot, ".ppm") == 0) {
        why = read_ppm(f);
    } else if (fread(patches, 1, sizeof patches, f) != sizeof patches) {
        why = "the patches are cut short";
    }
    fclose(f);
    if (why) return why;
    const bm_status status = dot && strcmp(dot, ".f32") == 0 ? bm_set_image(s, features)
                                                             : bm_set_image_pixels(s, patches, features);
    return status == BM_OK ? NULL : bm_status_text(status);
}

static void print_token(const bm_state *s, uint32_t token, int ids)
{
    size_t length = 0;
    if (ids) {
        printf("%u ", (unsigned)token);
    } else {
        const uint8_t *text = bm_tokenizer_decode(&s->tokenizer, token, &length);
        if (text) fwrite(text, 1, length, stdout);
    }
    fflush(stdout);
}

#if BM_MEMORY_IN_STORE
static bm_store store;

/* What is wrong with the memory's store, and where. */
static int store_failed(const char *path, bm_store_status status)
{
    fprintf(stderr, "bitmar: %s: the memory's store: %s", path, bm_store_text(status));
    if (status == BM_STORE_DAMAGED)
        fprintf(stderr, " (%s %u)", bm_store_kind_text(store.piece.kind), (unsigned)store.piece.index);
    fprintf(stderr, "\n");
    return 4; /* so that a caller can tell it from other failures */
}

/* Open the store and make it the memory; 0, or the exit status. */
static int start_store(bm_state *s, const options *o)
{
    static const uint8_t digest[32] = BM_MODEL_DIGEST;
    bm_store_device device;
    bm_store_status status = linux_store_open(&device, o->store, 1);
    if (status == BM_STORE_READ_ONLY || status == BM_STORE_PERMISSION)
        status = linux_store_open(&device, o->store, 0);
    if (status == BM_STORE_OK)
        status = bm_store_open(&store, &device, BM_SLOTS, BM_D, digest, bm_store_work(s));
    if (status == BM_STORE_OK) {
        const bm_tier rows = bm_store_tier(&store);
        bm_use_memory(s, &rows);
        return 0;
    }
    const int bad = store_failed(o->store, status);
    if (o->optional_memory) fprintf(stderr, "bitmar: going on without the memory\n");
    return o->optional_memory ? 0 : bad;
}
#endif

/* The memory failed in the middle: say so, and go on without it if that is wanted. */
static int memory_failed(const options *o)
{
#if BM_MEMORY_IN_STORE
    const int bad = store_failed(o->store, store.status);
    if (o->optional_memory) fprintf(stderr, "bitmar: going on without the memory\n");
    return o->optional_memory ? 0 : bad;
#else
    (void)o;
    return fail("memory", bm_status_text(BM_ERR_MEMORY));
#endif
}

static int remember(bm_state *s, const options *o)
{
    if (bm_end_episode(s) != BM_OK) return memory_failed(o);
#if BM_MEMORY_IN_STORE
    if (s->memory_on)
        fprintf(stderr, "bitmar: remembered: %u KiB written in %u pieces, %u syncs\n",
            (unsigned)(store.episode.bytes / 1024u), (unsigned)store.episode.writes,
            (unsigned)store.episode.syncs);
#endif
    return 0;
}

/* Feed EOS and the prompt, then generate until EOS or the token limit. */
static int generate(bm_state *s, const options *o)
{
    static uint32_t prompt[MAX_PROMPT];
    static bm_tokenizer_cell cells[MAX_PROMPT];
    uint32_t token = BM_EOS;
    if (!BM_TOKENIZER_BYTES && (o->prompt[0] || !o->ids))
        return fail("generate", "this model has no tokenizer; use --ids, without --prompt");
    size_t count = 0;
    bm_sampler sampler;
    bm_sampler_init(&sampler, o->temperature, o->top_k, o->seed);
    if (o->prompt[0] && bm_tokenizer_encode(&s->tokenizer, (const uint8_t *)o->prompt, strlen(o->prompt),
                            cells, MAX_PROMPT, prompt, MAX_PROMPT, &count) != BM_TOKENIZER_OK)
        return fail("--prompt", "longer than this program takes");
    if (o->remember && s->memory_on && !s->memory.rows.begin)
        return fail("--remember", "this memory is read-only");
    for (size_t i = 0; i < count + o->tokens; i++) {
        const bm_status status = bm_step(s, token);
        if (status == BM_ERR_MEMORY) {
            const int bad = memory_failed(o);
            if (bad) return bad;
        } else if (status != BM_OK) {
            return fail("step", bm_status_text(status));
        }
        token = i < count ? prompt[i] : bm_pick(s, &sampler);
        if (i >= count && token == BM_EOS) break;
        print_token(s, token, o->ids);
    }
    putchar('\n');
    return o->remember ? remember(s, o) : 0;
}

static int info(void)
{
    printf("model %s for %s, kernels %s\nSHA-256 ", BM_MODEL_NAME, BM_BOARD, BM_KERNELS_NAME);
    for (int i = 16; i < 48; i++) printf("%02x", bm_blob[i]);
    int pyramid = 0;
    const unsigned side = picture_side(BM_IMAGE_INPUTS, &pyramid);
    printf("\nblob %u bytes, arena %u bytes, image %u vectors of %u", BM_BLOB_BYTES, BM_RAM_TOTAL,
        BM_IMAGE_INPUTS, BM_VISION);
    if (side) printf(" (a picture of %u x %u)", side, side);
    putchar('\n');
    return 0;
}

/* Value of option argv[*i], which must be a number in [low, high]. */
static int number(int argc, char **argv, int *i, double low, double high, int whole, double *out)
{
    char *end = NULL;
    if (*i + 1 >= argc) return fail(argv[*i], "needs a value");
    *out = strtod(argv[++*i], &end);
    if (end == argv[*i] || *end || !(*out >= low && *out <= high))
        return fail(argv[*i - 1], "value out of range");
    if (whole && *out != (double)(uint64_t)*out) return fail(argv[*i - 1], "must be a whole number");
    return 0;
}

static int parse(int argc, char **argv, options *o)
{
    for (int i = 2; i < argc; i++) {
        double v = 0;
        int bad = 0;
        if (strcmp(argv[i], "--no-memory") == 0) o->no_memory = 1;
        else if (strcmp(argv[i], "--ids") == 0) o->ids = 1;
        else if (strcmp(argv[i], "--remember") == 0) o->remember = 1;
        else if (BM_MEMORY_IN_STORE && strcmp(argv[i], "--optional-memory") == 0) o->optional_memory = 1;
        else if (BM_MEMORY_IN_STORE && strcmp(argv[i], "--store") == 0 && i + 1 < argc) o->store = argv[++i];
        else if (strcmp(argv[i], "--image") == 0 && i + 1 < argc) o->image = argv[++i];
        else if (strcmp(argv[i], "--prompt") == 0 && i + 1 < argc) o->prompt = argv[++i];
        else if (strcmp(argv[i], "--port") == 0 && i + 1 < argc) o->port = argv[++i];
        else if (strcmp(argv[i], "--baud") == 0)
            bad = number(argc, argv, &i, 9600, 3e6, 1, &v), o->baud = (uint32_t)v;
        else if (strcmp(argv[i], "--threads") == 0)
            bad = number(argc, argv, &i, 1, LINUX_MAX_THREADS, 1, &v), o->threads = (uint32_t)v;
        else if (strcmp(argv[i], "--tokens") == 0)
            bad = number(argc, argv, &i, 1, 1e6, 1, &v), o->tokens = (uint32_t)v;
        else if (strcmp(argv[i], "--top-k") == 0)
            bad = number(argc, argv, &i, 1, 256, 1, &v), o->top_k = (uint32_t)v;
        else if (strcmp(argv[i], "--seed") == 0)
            bad = number(argc, argv, &i, 0, 9e15, 1, &v), o->seed = (uint64_t)v;
        else if (strcmp(argv[i], "--temperature") == 0)
            bad = number(argc, argv, &i, 0, 100, 0, &v), o->temperature = (float)v;
        else return fail(argv[i], "unknown option, or its value is missing");
        if (bad) return bad;
    }
    return 0;
}

/* Everything that has to be there before the model computes. Returns 0, or the exit status, and says why on standard error. */
static int start(bm_state *s, const options *o)
{
    bm_ram ram[BM_RAMS];
    bm_ram_slice(memory, ram);
    const bm_status status = bm_init(s, bm_blob, (size_t)(bm_blob_end - bm_blob), ram);
    if (status == BM_ERR_NUMERICS) return fail("self-test", bm_selftest());
    if (status == BM_ERR_CPU) {
        fail(BM_KERNELS_NAME, bm_status_text(status));
        return 3; /* so that a caller can tell it from a broken build */
    }
    if (status != BM_OK) return fail("start", bm_status_text(status));
#if BM_MEMORY_IN_STORE
    const int no_store = o->no_memory ? 0 : start_store(s, o);
    if (no_store) return no_store;
#endif
    if (o->threads > 1u && linux_threads_start(s, o->threads) != 0)
        return fail("--threads", "the threads could not be started");
    if (o->no_memory) s->memory_on = 0;
    return 0;
}

/* A model that did not start still answers, so that the host can say why. */
static int serve(bm_state *s, const options *o, int bad)
{
    const char *why = bad == 3   ? bm_status_text(BM_ERR_CPU)
                      : bad == 4 ? "the memory's store cannot be used"
                                 : reason;
    if (linux_link(bad ? NULL : s, memory, bad ? why : NULL, o->port, o->baud) == 0) return 0;
    return fail(o->port ? o->port : "link", strerror(errno));
}

int main(int argc, char **argv)
{
    static bm_state s;
    options o = {
        .prompt = "", .tokens = 32, .top_k = 40, .store = "memory.store", .threads = 1, .baud = 115200};
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "info") == 0) return info();
    const int benches = strcmp(command, "bench") == 0, profiles = strcmp(command, "profile") == 0,
              links = strcmp(command, "link") == 0;
    if (!benches && !profiles && !links && strcmp(command, "generate") != 0)
        return fail("usage", "bitmar generate|info|bench|profile|link [options]");
    const int unusable = parse(argc, argv, &o);
    if (unusable) return unusable;
    const int bad = start(&s, &o);
    if (links) return serve(&s, &o, bad);
    if (bad) return bad;
    const uint64_t *written = NULL;
#if BM_MEMORY_IN_STORE
    written = &store.episode.bytes;
#endif
    if (benches || profiles) return linux_bench(&s, benches, features, written);
    if (o.image) {
        const char *why = read_image(o.image, &s);
        if (why) return fail(o.image, why);
    }
    return generate(&s, &o);
}
