/* The model on QEMU's Xtensa `sim` machine: a script on the simulator's standard input, the trace on its output. */
#include <string.h>

#include "bm_selftest.h"
#include "trace.h"

#define SYS_READ 3
#define SYS_WRITE 4

extern const uint8_t bm_blob[], bm_blob_end[];

static uint8_t memory[BM_RAM_TOTAL] __attribute__((aligned(64)));
static float features[BM_IMAGE_INPUTS * BM_VISION];
static uint8_t out[1 << 16];
static size_t pending;

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

static void flush(int file)
{
    for (size_t done = 0; done < pending;) {
        const int n = simcall(SYS_WRITE, file, (uintptr_t)(out + done), pending - done);
        if (n <= 0) break;
        done += (size_t)n;
    }
    pending = 0;
}

static void to_output(const void *from, size_t n)
{
    const uint8_t *p = from;
    while (n) {
        const size_t room = sizeof out - pending, piece = n < room ? n : room;
        memcpy(out + pending, p, piece);
        pending += piece;
        p += piece;
        n -= piece;
        if (pending == sizeof out) flush(1);
    }
}

static size_t from_input(void *to, size_t n)
{
    size_t done = 0;
    while (done < n) {
        const int got = simcall(SYS_READ, 0, (uintptr_t)to + done, n - done);
        if (got <= 0) break;
        done += (size_t)got;
    }
    return done;
}

static int fail(const char *why)
{
    pending = 0;
    to_output("bitmar: ", 8);
    to_output(why, strlen(why));
    to_output("\n", 1);
    flush(2);
    return 2;
}

int main(void)
{
    static bm_state s;
    bm_ram ram[BM_RAMS];
    static const trace_io io = {from_input, to_output};
    bm_ram_slice(memory, ram);
    const bm_status status = bm_init(&s, bm_blob, (size_t)(bm_blob_end - bm_blob), ram);
    if (status == BM_ERR_NUMERICS) return fail(bm_selftest());
    if (status != BM_OK) return fail(bm_status_text(status));
    if (trace_serve(&s, features, &io)) return fail("malformed script, or a build without taps");
    flush(1);
    return 0;
}
