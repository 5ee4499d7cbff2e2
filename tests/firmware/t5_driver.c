/* SPDX-License-Identifier: Apache-2.0 */
/* Calls the kernel with five weights in a byte; see driver.h. */
#include "bm_gemv_t5.h"
#include "driver.h"

static void table(call *c) { bm_t5_table(c->a[0], c->u[0], c->a[1]); }

/* a: packed weights, codes, y. The table is an allocation of exactly its size, as every array. */
static void gemv(call *c)
{
    int16_t *t = calloc(BM_T5_TABLE(c->u[1]), sizeof *t);
    if (!t) exit(2);
    bm_t5_table(c->a[1], c->u[1], t);
    bm_gemv_t5s8(c->a[0], t, c->u[0], c->u[1], c->a[2]);
    free(t);
}

static const entry functions[] = {{"table", table}, {"gemv", gemv}};

int main(void) { return driver_serve(functions, sizeof functions / sizeof *functions); }
