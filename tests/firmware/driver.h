/* SPDX-License-Identifier: Apache-2.0 */
/* The loop shared by the test drivers: calls on stdin, results on stdout, both little-endian. With DRIVER_BOARD it is
 * part of a board's image, without files (driver_board.h).
 *
 *   call:   char name[32]; u32 u[8]; float f[4]; u32 n; n times { u32 bytes; u32 wanted; data }
 *   result: u32 result[2]; the data of every wanted array, in order
 *
 * Every array is its own allocation of exactly its size, so that a sanitizer sees any byte past it; an empty
 * one is NULL. Exit 2: broken input; 3: no function of that name.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdint.h>
#include <string.h>

#if defined(DRIVER_BOARD)
#include "driver_board.h"
#else
#include <stdio.h>
#include <stdlib.h>

#define DRIVER_MAIN main
#endif

#define DRIVER_ARRAYS 10u

typedef struct {
    char name[32];
    uint32_t u[8];
    float f[4];
    uint32_t n;
    uint32_t bytes[DRIVER_ARRAYS], wanted[DRIVER_ARRAYS];
    void *a[DRIVER_ARRAYS];
    uint32_t result[2];
} call;

typedef struct {
    const char *name;
    void (*run)(call *c);
} entry;

static inline uint32_t float_bits(float v)
{
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

#if !defined(DRIVER_BOARD)
static void driver_start(void) {}

static size_t driver_take(void *into, size_t n) { return fread(into, 1, n, stdin); }

static void driver_write(const void *from, size_t n) { fwrite(from, 1, n, stdout); }

static void *driver_new(size_t n) { return malloc(n); }

static void driver_free(void *array) { free(array); }

static int driver_stop(int status, const char *why)
{
    if (status) fprintf(stderr, "%s\n", why);
    return status;
}
#endif

static int driver_read(void *data, size_t size) { return driver_take(data, size) == size; }

/* 1: a call; 0: the end of the input; -1: broken input. */
static int driver_next(call *c)
{
    memset(c, 0, sizeof *c);
    if (!driver_read(c->name, sizeof c->name)) return 0;
    if (!driver_read(c->u, sizeof c->u) || !driver_read(c->f, sizeof c->f) ||
        !driver_read(&c->n, sizeof c->n))
        return -1;
    if (c->n > DRIVER_ARRAYS) return -1;
    for (uint32_t i = 0; i < c->n; i++) {
        if (!driver_read(&c->bytes[i], sizeof c->bytes[i]) ||
            !driver_read(&c->wanted[i], sizeof c->wanted[i]))
            return -1;
        if (c->bytes[i] == 0) continue;
        c->a[i] = driver_new(c->bytes[i]);
        if (!c->a[i] || !driver_read(c->a[i], c->bytes[i])) return -1;
    }
    return 1;
}

static void driver_answer(call *c)
{
    driver_write(c->result, sizeof c->result);
    for (uint32_t i = 0; i < c->n; i++)
        if (c->wanted[i]) driver_write(c->a[i], c->bytes[i]);
    for (uint32_t i = 0; i < c->n; i++) driver_free(c->a[i]);
}

static int driver_serve(const entry *table, size_t size)
{
    static call c;
    int found;
    driver_start();
    while ((found = driver_next(&c)) == 1) {
        size_t i = 0;
        while (i < size && memcmp(table[i].name, c.name, strlen(table[i].name) + 1u) != 0) i++;
        if (i == size) return driver_stop(3, "there is no such function");
        table[i].run(&c);
        driver_answer(&c);
    }
    return found ? driver_stop(2, "broken input") : driver_stop(0, "done");
}

#endif
