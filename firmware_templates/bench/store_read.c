/* SPDX-License-Identifier: MIT-0 */
/* How fast a memory comes out of its store, beside a plain sequential read of as many bytes of the same file.
 *
 *   store_read FILE SLOTS WIDTH REPEATS
 *
 * Prints a JSON object: bytes that one pass reads, and seconds of every pass: plain and store, cold (the file dropped from
 * the page cache before) and warm, by turns. The store belongs to a model whose SHA-256 is all zeros. Exit 3: the system
 * keeps the file in its cache, so that nothing is cold.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bm_store.h"
#include "linux_store.h"

#define MAX_WIDTH 4096u
#define MAX_REPEATS 1000
#define PIECE (1u << 20) /* of a plain read */
#define DROP_TRIES 20
#define DROP_PAUSE_NS 20000000
#define RESIDENT_MOST 100 /* one page in so many may still be in the cache after it was dropped */

static uint8_t buffers[BM_STORE_BUFFERS(MAX_WIDTH)] __attribute__((aligned(64))), piece[PIECE];
static const uint8_t digest[32];
static bm_store store;

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    return 2;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Whether the file has left the page cache. */
static int drop_once(int fd, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (size + page - 1u) / page;
    unsigned char *resident = malloc(pages);
    size_t there = pages;
    if (!resident) return 0;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED && mincore(map, size, resident) == 0) {
        there = 0;
        for (size_t i = 0; i < pages; i++) there += resident[i] & 1u;
    }
    if (map != MAP_FAILED) munmap(map, size);
    free(resident);
    return there * RESIDENT_MOST <= pages;
}

/* Pages that the system still reads ahead cannot be dropped: wait for them. */
static int drop(int fd, size_t size)
{
    const struct timespec pause = {0, DROP_PAUSE_NS};
    for (int i = 0; i < DROP_TRIES; i++) {
        if (drop_once(fd, size)) return 1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static double plain(int fd, uint64_t bytes)
{
    const double start = seconds();
    for (uint64_t at = 0; at < bytes; at += PIECE) {
        const size_t n = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
        if (pread(fd, piece, n, (off_t)at) != (ssize_t)n) return -1.0;
    }
    return seconds() - start;
}

static double through_store(const bm_tier *rows)
{
    bm_block_rows got;
    const double start = seconds();
    for (uint32_t b = 0; b < store.at.blocks; b++)
        if (rows->get(rows->context, b, BM_TIER_READ, &got) != BM_OK) return -1.0;
    return seconds() - start;
}

static void print_times(const char *name, const double *times, int n)
{
    printf("\"%s\": [", name);
    for (int i = 0; i < n; i++) printf("%s%.9f", i ? ", " : "", times[i]);
    printf("]");
}

int main(int argc, char **argv)
{
    static double times[4][MAX_REPEATS];
    static const char *const names[4] = {"plain_cold_s", "store_cold_s", "plain_warm_s", "store_warm_s"};
    if (argc != 5) return fail("usage", "store_read FILE SLOTS WIDTH REPEATS");
    const uint32_t slots = (uint32_t)strtoul(argv[2], NULL, 10), width = (uint32_t)strtoul(argv[3], NULL, 10);
    const int repeats = atoi(argv[4]);
    if (width == 0 || width > MAX_WIDTH || slots == 0 || repeats < 1 || repeats > MAX_REPEATS)
        return fail("usage", "a number out of range");
    bm_store_device device;
    bm_store_status status = linux_store_open(&device, argv[1], 0);
    if (status == BM_STORE_OK) status = bm_store_open(&store, &device, slots, width, digest, buffers);
    const int fd = open(argv[1], O_RDONLY);
    if (status != BM_STORE_OK || fd < 0) return fail(argv[1], bm_store_text(status));
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    const bm_tier rows = bm_store_tier(&store);
    const uint64_t bytes = (uint64_t)store.at.groups * BM_STORE_UNIT +
                           (uint64_t)store.at.blocks * store.at.plane;
    for (int i = 0; i < repeats; i++)
        for (int way = 0; way < 4; way++) {
            if (way < 2 && !drop(fd, (size_t)device.size)) {
                fail(argv[1], "the system keeps it in its cache");
                return 3;
            }
            times[way][i] = way % 2 ? through_store(&rows) : plain(fd, bytes);
            if (times[way][i] < 0.0) return fail(argv[1], "cannot be read");
        }
    printf("{\"bytes\": %llu, ", (unsigned long long)bytes);
    for (int way = 0; way < 4; way++) {
        print_times(names[way], times[way], repeats);
        printf(way < 3 ? ", " : "}\n");
    }
    close(fd);
    linux_store_close();
    return 0;
}
