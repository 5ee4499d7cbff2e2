/* SPDX-License-Identifier: Apache-2.0 */
/* Single float operations over arrays, as the processor or its library rounds them; see driver.h. */
#include "driver.h"

#define LOOP(name, expression) \
    static void name(call *c) \
    { \
        const float *a = c->a[0], *b = c->a[1]; \
        float *y = c->a[2]; \
        for (uint32_t i = 0; i < c->u[0]; i++) y[i] = (expression); \
    }

LOOP(add, a[i] + b[i])
LOOP(subtract, a[i] - b[i])
LOOP(multiply, a[i] * b[i])

static void convert(call *c)
{
    const int32_t *a = c->a[0];
    float *y = c->a[2];
    for (uint32_t i = 0; i < c->u[0]; i++) y[i] = (float)a[i];
}

static const entry table[] = {
    {"add", add},
    {"subtract", subtract},
    {"multiply", multiply},
    {"convert", convert},
};

int DRIVER_MAIN(void) { return driver_serve(table, sizeof table / sizeof *table); }
