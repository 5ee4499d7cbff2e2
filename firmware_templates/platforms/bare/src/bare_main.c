/* SPDX-License-Identifier: MIT-0 */
/* The model on a board without an operating system: it answers a host over the serial port (bm_serve.h). */
#include "bare.h"

#include <string.h>

#include "bm_selftest.h"
#include "bm_serve.h"
#if BM_MEMORY_IN_STORE
#include "bare_store.h"
#endif
#if BM_THREADS > 1
#include "bare_split.h"
#endif

#define STACK_PAINT 0xA5A5A5A5u
#define COUNTS 512u              /* values of logits that are counted at a time */

extern const uint8_t bm_blob[], bm_blob_end[];
extern uint32_t bare_stack_floor[], bare_stack_top[];

static uint8_t memory[BM_RAM_TOTAL] __attribute__((aligned(64), section(".arena")));

void bare_ring_put(bare_ring *r, uint8_t c)
{
    const uint32_t end = r->end;
    if (end - r->first == BARE_RECEIVED) {
        r->lost++;
        return;
    }
    r->bytes[end % BARE_RECEIVED] = c;
    r->end = end + 1u;
}

size_t bare_ring_take(bare_ring *r, void *into, size_t room)
{
    uint8_t *p = into;
    size_t n = 0;
    uint32_t first = r->first;
    for (; n < room && first != r->end; n++) p[n] = r->bytes[first++ % BARE_RECEIVED];
    r->first = first;
    return n;
}

size_t bare_stack_peak(void *user)
{
    const volatile uint32_t *p = bare_stack_floor;
    (void)user;
    while (p < bare_stack_top && *p == STACK_PAINT) p++;
    return (size_t)(bare_stack_top - p) * sizeof *p;
}

void bare_say(void (*write)(void *user, const void *from, size_t bytes), const char *what,
    const char *const *names, const uintptr_t *values, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    char text[2u * sizeof(uintptr_t)];
    write(NULL, "\r\n", 2);
    write(NULL, what, strlen(what));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < sizeof text; k++)
            text[k] = digits[values[i] >> 4u * (sizeof text - 1u - k) & 15u];
        write(NULL, i ? ", " : ": ", 2);
        write(NULL, names[i], strlen(names[i]));
        write(NULL, " 0x", 3);
        write(NULL, text, sizeof text);
    }
    write(NULL, "\r\n", 2);
}

int main(void)
{
    static bm_state state;
    static bm_server server;
    static uint8_t text[BM_ASCII_INPUT];
    static uint32_t counts[COUNTS];
    bm_ram ram[BM_RAMS];
    bare_start();
    bm_ram_slice(memory, ram);
    const bm_status status = bm_init(&state, bm_blob, (size_t)(bm_blob_end - bm_blob), ram);
    const char *why = status == BM_ERR_NUMERICS ? bm_selftest()
                      : status == BM_OK         ? NULL
                                                : bm_status_text(status);
#if BM_MEMORY_IN_STORE
    if (!why) why = bare_store_start(&state);
#endif
#if BM_THREADS > 1
    if (!why) bare_split_start(&state);
#endif
    bm_serve_init(&server, why ? NULL : &state, why, bare_port(), text);
    bm_serve_room(&server, counts, COUNTS, NULL, NULL);
    for (;;) bm_serve_once(&server);
}
