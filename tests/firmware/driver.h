/* The loop shared by the test drivers: calls on stdin, results on stdout, both little-endian.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void driver_read(void *data, size_t size)
{
    if (fread(data, 1, size, stdin) != size) exit(2);
}

/* 0 at the end of the input. */
static int driver_next(call *c)
{
    memset(c, 0, sizeof *c);
    if (fread(c->name, 1, sizeof c->name, stdin) != sizeof c->name) return 0;
    driver_read(c->u, sizeof c->u);
    driver_read(c->f, sizeof c->f);
    driver_read(&c->n, sizeof c->n);
    if (c->n > DRIVER_ARRAYS) exit(2);
    for (uint32_t i = 0; i < c->n; i++) {
        driver_read(&c->bytes[i], sizeof c->bytes[i]);
        driver_read(&c->wanted[i], sizeof c->wanted[i]);
        if (c->bytes[i] == 0) continue;
        c->a[i] = malloc(c->bytes[i]);
        if (!c->a[i]) exit(2);
        driver_read(c->a[i], c->bytes[i]);
    }
    return 1;
}

static void driver_answer(call *c)
{
    fwrite(c->result, 1, sizeof c->result, stdout);
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->wanted[i]) fwrite(c->a[i], 1, c->bytes[i], stdout);
        free(c->a[i]);
    }
}

static int driver_serve(const entry *table, size_t size)
{
    call c;
    while (driver_next(&c)) {
        size_t i = 0;
        while (i < size && strcmp(table[i].name, c.name) != 0) i++;
        if (i == size) {
            fprintf(stderr, "no function %.32s\n", c.name);
            return 3;
        }
        table[i].run(&c);
        driver_answer(&c);
    }
    return 0;
}

#endif
