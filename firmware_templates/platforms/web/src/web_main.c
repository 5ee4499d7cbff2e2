/* SPDX-License-Identifier: MIT-0 */
/* The model as a WebAssembly module: a board that answers a host over the link (bm_serve.h). web.h says what it exports. */
#include "web.h"

#include <string.h>

#include "bm_bytes.h"
#include "bm_selftest.h"
#include "bm_serve.h"
#if BM_MEMORY_IN_STORE
#include "web_store.h"
#endif

#define INPUT 65536u
#define COUNTS \
    32768u /* values of logits: all that an int8 x ternary product of up to 129 terms has, most of any */
#define HEAD 5u /* bytes of a message before its fields */
#define PAINT 0xA5u
#define SPARED 512u /* bytes of the stack that are not painted: the caller's */

__attribute__((import_module("bm"), import_name("clock"))) double web_clock(void);

static bm_state state;
static bm_server server;
static bm_kept kept;
static uint32_t counts[COUNTS];
static uint8_t memory[BM_RAM_TOTAL] __attribute__((aligned(64))),
    blob[BM_BLOB_BYTES] __attribute__((aligned(64)));
static uint8_t input[INPUT];
static uint32_t arrived, taken; /* of the input */
static web_buffer output;

static size_t line_read(void *user, void *into, size_t room)
{
    const uint32_t n = arrived - taken < room ? arrived - taken : (uint32_t)room;
    (void)user;
    memcpy(into, input + taken, n);
    taken += n;
    return n;
}

static void line_write(void *user, const void *from, size_t bytes)
{
    (void)user;
    if (web_put(&output, from, (uint32_t)bytes) != 0)
        __builtin_trap(); /* nobody takes what is sent, and the memory is full */
}

static uint64_t line_cycles(void *user)
{
    (void)user;
    return (uint64_t)web_clock();
}

extern uint8_t __stack_low, __stack_high; /* of the linker */

/* Colour the stack below here; what is no longer coloured later was used. */
static __attribute__((noinline)) void paint(void)
{
    const uint8_t *top = (const uint8_t *)__builtin_frame_address(0) - SPARED;
    for (volatile uint8_t *p = &__stack_low; p < top; p++) *p = PAINT;
}

static size_t line_stack_peak(void *user)
{
    const volatile uint8_t *p = &__stack_low;
    (void)user;
    while (p < &__stack_high && *p == PAINT) p++;
    return (size_t)(&__stack_high - p);
}

static uint32_t line_millis(void *user) { return (uint32_t)(line_cycles(user) / 1000000u); }

static const char *start(void)
{
    bm_ram ram[BM_RAMS];
    bm_ram_slice(memory, ram);
    const bm_status status = bm_init(&state, blob, sizeof blob, ram);
    if (status == BM_ERR_NUMERICS) return bm_selftest();
    if (status != BM_OK) return bm_status_text(status);
#if BM_MEMORY_IN_STORE
    return web_store_start(&state);
#else
    return NULL;
#endif
}

WEB_EXPORT(bm_web_version) int bm_web_version(void) { return WEB_VERSION; }

WEB_EXPORT(bm_web_blob) uint8_t *bm_web_blob(void) { return blob; }

WEB_EXPORT(bm_web_blob_bytes) uint32_t bm_web_blob_bytes(void) { return sizeof blob; }

WEB_EXPORT(bm_web_start) int bm_web_start(void)
{
    static const struct bm_port port = {NULL, line_read, line_write, line_cycles, line_millis, NULL,
        1000000000u, line_stack_peak, NULL, NULL, NULL};
    paint();
    const char *why = start();
    bm_serve_init(&server, why ? NULL : &state, why, &port, NULL);
    bm_serve_room(&server, counts, COUNTS, &kept, memory);
    return why != NULL;
}

WEB_EXPORT(bm_web_why) const char *bm_web_why(void) { return server.why; }

WEB_EXPORT(bm_web_input) uint8_t *bm_web_input(void) { return input; }

WEB_EXPORT(bm_web_input_bytes) uint32_t bm_web_input_bytes(void) { return sizeof input; }

WEB_EXPORT(bm_web_receive) void bm_web_receive(uint32_t n)
{
    arrived = n < INPUT ? n : INPUT;
    taken = 0;
    bm_link_pump(&server.link);
}

/* Whether a request has arrived whole: it is answered without waiting for more of it. */
static int has_request(void)
{
    const web_buffer *in = &server.link.in;
    const uint32_t n = in->end - in->first;
    return n >= HEAD && n - HEAD >= bm_get_u32(in->bytes + in->first + 1u);
}

WEB_EXPORT(bm_web_run) int bm_web_run(void)
{
    if (server.link.broken) server.next = NULL; /* whoever asked is gone */
    if (!server.next && !has_request()) return 0;
    bm_serve_once(&server);
    bm_link_pump(&server.link);
    return server.next || has_request();
}

WEB_EXPORT(bm_web_output) uint8_t *bm_web_output(void) { return output.bytes; }

WEB_EXPORT(bm_web_output_bytes) uint32_t bm_web_output_bytes(void) { return output.end; }

WEB_EXPORT(bm_web_output_taken) void bm_web_output_taken(void) { output.end = 0; }
