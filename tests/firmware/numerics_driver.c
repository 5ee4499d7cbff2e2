/* Exposes the primitives to ctypes: built as a shared library with the runtime. */
#include "bm_crc32.h"
#include "bm_numerics.h"
#include "bm_sampler.h"
#include "bm_selftest.h"

void all_exp_neg(const float *x, uint32_t n, float *y);
void all_sqrt(const float *x, uint32_t n, float *y);
void all_rne(const float *x, uint32_t n, int32_t *y);

void all_exp_neg(const float *x, uint32_t n, float *y)
{
    for (uint32_t i = 0; i < n; i++) y[i] = bm_exp_neg(x[i]);
}

void all_sqrt(const float *x, uint32_t n, float *y)
{
    for (uint32_t i = 0; i < n; i++) y[i] = bm_sqrt(x[i]);
}

void all_rne(const float *x, uint32_t n, int32_t *y)
{
    for (uint32_t i = 0; i < n; i++) y[i] = bm_rne(x[i]);
}
