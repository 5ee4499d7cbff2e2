/* SPDX-License-Identifier: Apache-2.0 */
/* Calls the functions of the kernel family that it is linked with; see driver.h. */
#include "driver.h"

#include "bm_kernels.h"

static void gemv(call *c) { bm_gemv_t2s8(c->a[0], c->a[1], (int32_t)c->u[2], c->u[0], c->u[1], c->a[2]); }

static void dots(call *c) { bm_dots_s8(c->a[0], c->u[0], c->a[1], c->u[1], c->u[2], c->a[2]); }

static void wsum(call *c) { bm_wsum_s8(c->a[0], c->a[1], c->u[0], c->u[1], c->u[2], c->a[2]); }

static void dot(call *c) { c->result[0] = (uint32_t)bm_dot_s8(c->a[0], c->a[1], c->u[0]); }

static void supported(call *c) { c->result[0] = (uint32_t)bm_kernels_supported(); }

static const entry table[] = {
    {"gemv_t2s8", gemv},
    {"dots_s8", dots},
    {"wsum_s8", wsum},
    {"dot_s8", dot},
    {"supported", supported},
};

int DRIVER_MAIN(void) { return driver_serve(table, sizeof table / sizeof *table); }
