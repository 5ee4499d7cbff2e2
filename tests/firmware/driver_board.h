/* SPDX-License-Identifier: Apache-2.0 */
/* What driver.h needs on a board without files: the calls are the image's blob, the results go out as the board speaks,
 * between two marks. Then the board starts anew, which ends the emulator. Arrays lie in a pool and are given back
 * together. Compiled into a whole project, whose `main` the linker replaces by ours. A module of WebAssembly exports
 * ours: calls and results lie in its memory.
 */
#ifndef DRIVER_BOARD_H
#define DRIVER_BOARD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define DRIVER_POOL (1024u * 1024u)
#define DRIVER_BEGIN "\nBEGIN results\n"
#define DRIVER_END "\nEND results\n"

#if defined(__wasm__)
#include "web.h"

#define DRIVER_MAIN driver_main
WEB_EXPORT(driver_main) int driver_main(void);

static const uint8_t *driver_at, *driver_last;
static web_buffer driver_results;

WEB_EXPORT(driver_calls) const uint8_t *driver_calls(uint32_t n)
{
    driver_at = web_new(n);
    driver_last = driver_at + n;
    return driver_at;
}

WEB_EXPORT(driver_output) const uint8_t *driver_output(void) { return driver_results.bytes; }

WEB_EXPORT(driver_bytes) uint32_t driver_bytes(void) { return driver_results.end; }

static void driver_write(const void *from, size_t n) { (void)web_put(&driver_results, from, (uint32_t)n); }

static void driver_start(void) { driver_write(DRIVER_BEGIN, sizeof DRIVER_BEGIN - 1u); }

static void driver_end(void) {}
#else
int __wrap_main(void);
#define DRIVER_MAIN __wrap_main

extern const uint8_t bm_blob[], bm_blob_end[];

static const uint8_t *driver_at = bm_blob, *const driver_last = bm_blob_end;

#if defined(__XTENSA__)
static void driver_write(const void *from, size_t n)
{
    register int a2 __asm__("a2") = 4; /* write */
    register int a3 __asm__("a3") = 1;
    register uintptr_t a4 __asm__("a4") = (uintptr_t)from;
    register size_t a5 __asm__("a5") = n;
    if (n) __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
}

static void driver_start(void) { driver_write(DRIVER_BEGIN, sizeof DRIVER_BEGIN - 1u); }

static void driver_end(void) /* main's result ends the simulation */ {}
#else
#include "bare.h"

static void driver_write(const void *from, size_t n) { bare_port()->write(NULL, from, n); }

static void driver_start(void)
{
    bare_start();
    driver_write(DRIVER_BEGIN, sizeof DRIVER_BEGIN - 1u);
}

static void driver_end(void) { bare_port()->reset(NULL); }
#endif
#endif

static uint8_t driver_pool[DRIVER_POOL] __attribute__((aligned(64)));
static size_t driver_used;

static size_t driver_take(void *into, size_t n)
{
    if ((size_t)(driver_last - driver_at) < n) return 0;
    memcpy(into, driver_at, n);
    driver_at += n;
    return n;
}

static void *driver_new(size_t n)
{
    void *array = driver_pool + driver_used;
    driver_used += (n + 63u) & ~(size_t)63u;
    return driver_used <= sizeof driver_pool ? array : NULL;
}

static void driver_free(void *array)
{
    (void)array;
    driver_used = 0;
}

static int driver_stop(int status, const char *why)
{
    driver_write(DRIVER_END, sizeof DRIVER_END - 1u);
    driver_write(why, strlen(why));
    driver_end();
    return status;
}

#endif
