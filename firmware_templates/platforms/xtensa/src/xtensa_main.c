/* SPDX-License-Identifier: MIT-0 */
/* The model on QEMU's Xtensa `sim` machine: it answers a host (bm_serve.h) over the simulator's standard input and output. */
#include <string.h>

#include "bm_selftest.h"
#include "bm_serve.h"

#define SYS_EXIT 1
#define SYS_READ 3
#define SYS_WRITE 4
#define SYS_SELECT_ONE 29
#define SELECT_READ 1
#define CLOCK_KHZ 40000u /* of the cycle counter: QEMU's lx106 */
#define COUNTS 32768u /* values of logits that are counted at a time */

extern const uint8_t bm_blob[], bm_blob_end[];

static uint8_t memory[BM_RAM_TOTAL] __attribute__((aligned(64)));

/* Xtensa's simulator call: number in a2, arguments in a3 to a5, result in a2. */
static int simcall(int number, int file, uintptr_t data, size_t n)
{
    register int a2 __asm__("a2") = number;
    register int a3 __asm__("a3") = file;
    register uintptr_t a4 __asm__("a4") = data;
    register size_t a5 __asm__("a5") = n;
    __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
    return a2;
}

/* Whether something arrives within so many milliseconds. */
static int wait_for_input(uint32_t ms)
{
    const uint32_t time[2] = {ms / 1000u, ms % 1000u * 1000u}; /* seconds, microseconds */
    return simcall(SYS_SELECT_ONE, 0, SELECT_READ, (uintptr_t)time) > 0;
}

/* The simulation ends with the host: its end of the line reads as no bytes. */
static size_t line_read(void *user, void *into, size_t room)
{
    (void)user;
    if (!wait_for_input(0)) return 0;
    const int got = simcall(SYS_READ, 0, (uintptr_t)into, room);
    if (got <= 0) simcall(SYS_EXIT, 0, 0, 0);
    return got > 0 ? (size_t)got : 0u;
}

static void line_write(void *user, const void *from, size_t bytes)
{
    const uint8_t *p = from;
    (void)user;
    while (bytes) {
        const int n = simcall(SYS_WRITE, 1, (uintptr_t)p, bytes);
        if (n <= 0) return;
        p += n;
        bytes -= (size_t)n;
    }
}

static uint64_t line_cycles(void *user)
{
    static uint32_t last, wraps;
    uint32_t now;
    (void)user;
    __asm__ volatile("rsr %0, ccount" : "=r"(now));
    wraps += now < last;
    last = now;
    return (uint64_t)wraps << 32 | now;
}

/* No 64-bit division here: what passed since the last look is added up. */
static uint32_t line_millis(void *user)
{
    static uint32_t ms, rest, seen;
    const uint32_t now = (uint32_t)line_cycles(user), passed = now - seen;
    seen = now;
    rest += passed % CLOCK_KHZ;
    ms += passed / CLOCK_KHZ + rest / CLOCK_KHZ;
    rest %= CLOCK_KHZ;
    return ms;
}

static void line_idle(void *user, uint32_t ms)
{
    (void)user;
    wait_for_input(ms);
}

int main(void)
{
    static bm_state s;
    static bm_server server;
    static uint32_t counts[COUNTS];
    static bm_kept kept;
    static const struct bm_port port = {NULL, line_read, line_write, line_cycles, line_millis, NULL,
        CLOCK_KHZ * 1000u, NULL, line_idle, NULL, NULL};
    bm_ram ram[BM_RAMS];
    bm_ram_slice(memory, ram);
    const bm_status status = bm_init(&s, bm_blob, (size_t)(bm_blob_end - bm_blob), ram);
    const char *why = status == BM_ERR_NUMERICS ? bm_selftest()
                      : status == BM_OK         ? NULL
                                                : bm_status_text(status);
    bm_serve_init(&server, why ? NULL : &s, why, &port, NULL);
    bm_serve_room(&server, counts, COUNTS, &kept, memory);
    for (;;) bm_serve_once(&server);
}
