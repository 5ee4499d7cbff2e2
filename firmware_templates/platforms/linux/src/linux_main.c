/* SPDX-License-Identifier: MIT-0 */
/* The model as a Linux program: text and picture in, text out; and the link, over which a host does everything else.
 * `bitmar --help` lists its commands and options.
 *
 * Exit status: 0 done, 1 the output could not be written, 2 a problem of input, 3 a processor that lacks the instructions of the
 * kernels, 4 a memory's store that cannot be used, 141 nobody reads the output.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bitmar.h"
#include "bm_patches.h"
#include "bm_selftest.h"
#include "linux_bench.h"
#include "linux_link.h"
#include "linux_options.h"
#include "linux_output.h"
#include "linux_picture.h"
#if BM_MEMORY_IN_STORE
#include "bm_store.h"
#include "linux_store.h"
#endif
#include "linux_threads.h"
#if BM_UPDATES
#include "linux_update.h"
#endif
#if BM_SHOW_ONCE
#include <unistd.h>

#include "linux_first.h"
#include "linux_show.h"
#endif

#define MAX_PROMPT 4096

extern const uint8_t bm_blob[], bm_blob_end[];

static uint8_t memory[BM_RAM_TOTAL] __attribute__((aligned(64)));

/* Returns 0, or the exit status if it could not be written. */
static int print_token(const bm_state *s, uint32_t token, int ids)
{
    size_t length = 0;
    if (ids) {
        printf("%u ", (unsigned)token);
    } else {
        const uint8_t *text = bm_tokenizer_decode(&s->tokenizer, token, &length);
        if (text) fwrite(text, 1, length, stdout);
    }
    return linux_sent();
}

#if BM_MEMORY_IN_STORE
static bm_store store;

/* Whether only another store helps. */
static int useless(bm_store_status status)
{
    switch (status) {
    case BM_STORE_MISSING:
    case BM_STORE_BLANK:
    case BM_STORE_SHORT:
    case BM_STORE_FOREIGN:
    case BM_STORE_SHAPE:
    case BM_STORE_MODEL: return 1;
    default: return 0;
    }
}

/* What is wrong with the memory's store, where, and the way out. */
static int store_failed(const char *path, bm_store_status status)
{
    fprintf(stderr, "bitmar: %s: the memory's store: %s", path, bm_store_text(status));
    if (status == BM_STORE_DAMAGED)
        fprintf(stderr, " (%s %u)", bm_store_kind_text(store.piece.kind), (unsigned)store.piece.index);
    if (useless(status))
        fprintf(stderr, "; name another with --store, or make one: bitmar-tiny memory reset MODEL -o FILE");
    fprintf(stderr, "\n");
    return 4; /* so that a caller can tell it from other failures */
}

#if BM_SHOW_ONCE
static int made; /* the store, by this command */
#endif

/* Open the store, which the first thing that is taught makes. */
static bm_store_status open_store(bm_store_device *device, const linux_options *o)
{
    const int reads = o->command == LINUX_ASK || o->command == LINUX_LIST; /* beside others */
    bm_store_status status = linux_store_open(device, o->store, !reads);
#if BM_SHOW_ONCE
    if (status == BM_STORE_MISSING && o->command == LINUX_TEACH) {
        status = linux_first_make(o->store);
        made = status == BM_STORE_OK;
        if (made) status = linux_store_open(device, o->store, 1);
    }
#endif
    return status;
}

/* Open the store and make it the memory; 0, or the exit status. */
static int start_store(bm_state *s, const linux_options *o)
{
    bm_store_device device;
    bm_store_status status = open_store(&device, o);
    if (status == BM_STORE_READ_ONLY || status == BM_STORE_PERMISSION)
        status = linux_store_open(&device, o->store, 0);
    if (status == BM_STORE_OK)
        status = bm_store_open(&store, &device, BM_SLOTS, BM_D, bm_model_digest(s), bm_store_work(s));
    if (status == BM_STORE_OK) {
        const bm_tier rows = bm_store_tier(&store);
        bm_use_memory(s, &rows);
        return 0;
    }
    const int bad = store_failed(o->store, status);
    int optional = o->optional_memory;
#if BM_UPDATES
    optional |= status == BM_STORE_MODEL &&
                linux_updates()->running; /* a new model runs, if without the old one's memory */
#endif
    if (optional) fprintf(stderr, "bitmar: going on without the memory\n");
    return optional ? 0 : bad;
}
#endif

/* The memory failed in the middle: say so, and go on without it if that is wanted. */
static int memory_failed(const linux_options *o)
{
#if BM_MEMORY_IN_STORE
    const int bad = store_failed(o->store, store.status);
    if (o->optional_memory) fprintf(stderr, "bitmar: going on without the memory\n");
    return o->optional_memory ? 0 : bad;
#else
    (void)o;
    return linux_fail("memory", bm_status_text(BM_ERR_MEMORY));
#endif
}

static int remember(bm_state *s, const linux_options *o)
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
static int generate(bm_state *s, const linux_options *o)
{
    static uint32_t prompt[MAX_PROMPT];
    static bm_tokenizer_cell cells[MAX_PROMPT];
    uint32_t token = BM_EOS;
    if (!BM_TOKENIZER_BYTES && (o->prompt[0] || !o->ids))
        return linux_fail("generate", "this model has no tokenizer; use --ids, without --prompt");
    size_t count = 0;
    bm_sampler sampler;
    bm_sampler_init(&sampler, o->temperature, o->top_k, o->seed);
    if (o->prompt[0] && bm_tokenizer_encode(&s->tokenizer, (const uint8_t *)o->prompt, strlen(o->prompt),
                            cells, MAX_PROMPT, prompt, MAX_PROMPT, &count) != BM_TOKENIZER_OK)
        return linux_fail("--prompt", "longer than this program takes");
    if (o->remember && s->memory_on && !s->memory.rows.begin)
        return linux_fail("--remember", "this memory is read-only");
    for (size_t i = 0; i < count + o->tokens; i++) {
        const bm_status status = bm_step(s, token);
        if (status == BM_ERR_MEMORY) {
            const int bad = memory_failed(o);
            if (bad) return bad;
        } else if (status != BM_OK) {
            return linux_fail("step", bm_status_text(status));
        }
        token = i < count ? prompt[i] : bm_pick(s, &sampler);
        if (i >= count && token == BM_EOS) break;
        const int lost = print_token(s, token, o->ids);
        if (lost) return lost;
    }
    putchar('\n');
    const int lost = linux_sent();
    if (lost) return lost;
    return o->remember ? remember(s, o) : 0;
}

#if BM_SHOW_ONCE
static int show(bm_state *s, const linux_options *o)
{
    const int status = linux_show(s, o);
    if (made && status) unlink(o->store); /* nothing was taught */
    else if (made) fprintf(stderr, "Made %s, with the memory that the model was trained to.\n", o->store);
    return status == LINUX_MEMORY_FAILED ? store_failed(o->store, store.status) : status;
}
#endif

static int info(void)
{
    printf("model %s for %s, kernels %s\nSHA-256 ", BM_MODEL_NAME, BM_BOARD, BM_KERNELS_NAME);
    for (int i = 16; i < 48; i++) printf("%02x", bm_blob[i]);
    const unsigned side = bm_picture_side();
    printf("\nblob %u bytes, arena %u bytes, image %u vectors of %u", BM_BLOB_BYTES, BM_RAM_TOTAL,
        BM_IMAGE_INPUTS, BM_VISION);
    if (side) printf(" (a picture of %u x %u)", side, side);
    putchar('\n');
    return linux_sent();
}

/* Everything that has to be there before the model computes. Returns 0, or the exit status, and says why on standard error. */
static int start(bm_state *s, const linux_options *o)
{
    bm_ram ram[BM_RAMS];
    bm_ram_slice(memory, ram);
#if BM_UPDATES
    const int updated = linux_update_start(s, o->updates, o->command == LINUX_LINK, ram);
#else
    const int updated = 0;
#endif
    const bm_status status = updated ? BM_OK : bm_init(s, bm_blob, (size_t)(bm_blob_end - bm_blob), ram);
    if (status == BM_ERR_NUMERICS) return linux_fail("self-test", bm_selftest());
    if (status == BM_ERR_CPU) {
        linux_fail(BM_KERNELS_NAME, bm_status_text(status));
        return 3; /* so that a caller can tell it from a broken build */
    }
    if (status != BM_OK) return linux_fail("start", bm_status_text(status));
#if BM_MEMORY_IN_STORE
    const int no_store = o->no_memory ? 0 : start_store(s, o);
    if (no_store) return no_store;
#endif
    if (o->threads > 1u && linux_threads_start(s, o->threads) != 0)
        return linux_fail("--threads", "the threads could not be started");
    if (o->no_memory) s->memory_on = 0;
    return 0;
}

/* A model that did not start still answers, so that the host can say why. */
static int serve(bm_state *s, const linux_options *o, int bad)
{
    const char *why = bad == 3   ? bm_status_text(BM_ERR_CPU)
                      : bad == 4 ? "the memory's store cannot be used"
                                 : linux_failure();
    if (linux_link(bad ? NULL : s, memory, bad ? why : NULL, o->port, o->baud) == 0) return 0;
    return linux_fail(o->port ? o->port : "link", strerror(errno));
}

int main(int argc, char **argv)
{
    static bm_state s;
    linux_options o;
#if BM_UPDATES
    linux_arguments = argv;
#endif
    const int unusable = linux_parse(argc, argv, &o);
    if (unusable) return unusable;
    if (o.command == LINUX_HELP) {
        linux_usage();
        return linux_sent();
    }
    if (o.command == LINUX_INFO) return info();
    const int bad = start(&s, &o);
    if (o.command == LINUX_LINK) return serve(&s, &o, bad);
    if (bad) return bad;
#if BM_SHOW_ONCE
    if (o.command >= LINUX_TEACH) return show(&s, &o);
#endif
    if (o.command == LINUX_GENERATE) {
        const char *why = o.image ? linux_read_image(o.image, &s) : NULL;
        return why ? linux_fail(o.image, why) : generate(&s, &o);
    }
    const uint64_t *written = NULL;
#if BM_MEMORY_IN_STORE
    written = &store.episode.bytes;
#endif
    const int failed = linux_bench(&s, o.command == LINUX_BENCH, linux_features(), written);
    return failed ? failed : linux_sent();
}
