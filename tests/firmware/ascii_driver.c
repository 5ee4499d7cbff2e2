/* SPDX-License-Identifier: Apache-2.0 */
/* The text face of the link on stdin and stdout, in the place of linux_main.c of a generated project.
 *
 *   ascii_driver [MS [spoil]]
 *
 * MS: the clock is a pretended one, and each look at it takes so many milliseconds; 0: the real one. spoil: something writes over
 * the input after every command.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bm_ascii.h"

extern const uint8_t bm_blob[], bm_blob_end[];

static uint8_t memory[BM_RAM_TOTAL] __attribute__((aligned(64)));
static float vectors[BM_IMAGE_POOL][BM_VISION];
static uint64_t look_ms, pretended_ms;

static uint64_t nanoseconds(void *user)
{
    struct timespec t;
    (void)user;
    if (look_ms) return (pretended_ms += look_ms) * 1000000u;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t millis(void *user) { return (uint32_t)(nanoseconds(user) / 1000000u); }

static void to_stdout(void *user, const void *from, size_t bytes)
{
    const uint8_t *p = from;
    (void)user;
    while (bytes) {
        const ssize_t n = write(STDOUT_FILENO, p, bytes);
        if (n <= 0) exit(0);                     /* whoever listened is gone */
        p += n;
        bytes -= (size_t)n;
    }
}

int main(int argc, char **argv)
{
    static bm_state s;
    static bm_ascii a;
    static char line[BM_ASCII_LINE + 1u];
    static const struct bm_port port = {
        .write = to_stdout, .cycles = nanoseconds, .millis = millis, .cycles_hz = 1000000000u};
    uint8_t *input = malloc(BM_ASCII_INPUT); /* exact size, so that the sanitizer sees any byte past it */
    bm_ram ram[BM_RAMS];
    char bytes[512];
    ssize_t got;
    size_t n = 0;
    look_ms = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    bm_ram_slice(memory, ram);
    if (!input || bm_init(&s, bm_blob, (size_t)(bm_blob_end - bm_blob), ram) != BM_OK) return 2;
    bm_ascii_init(&a, &s, &port, input, vectors);
    while ((got = read(STDIN_FILENO, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < got; i++) {
            if (bytes[i] == '%') {
                bm_ascii_command(&a, line, n);
                n = 0;
                if (argc > 2) input[3] ^= 1u;
            } else if (n < sizeof line) {
                line[n++] = bytes[i];
            }
        }
    free(input);
    return 0;
}
