/* Calls the functions of every kernel family that this compiler can build; see driver.h. */
#include "bm_kernels.h"
#include "driver.h"

#define FAMILY(F)                                                                                       \
    static void gemv__##F(call *c)                                                                      \
    {                                                                                                   \
        bm_gemv_t2s8__##F(c->a[0], c->a[1], (int32_t)c->u[2], c->u[0], c->u[1], c->a[2]);               \
    }                                                                                                   \
    static void dots__##F(call *c)                                                                      \
    {                                                                                                   \
        bm_dots_s8__##F(c->a[0], c->u[0], c->a[1], c->u[1], c->u[2], c->a[2]);                          \
    }                                                                                                   \
    static void wsum__##F(call *c)                                                                      \
    {                                                                                                   \
        bm_wsum_s8__##F(c->a[0], c->a[1], c->u[0], c->u[1], c->u[2], c->a[2]);                          \
    }                                                                                                   \
    static void dot__##F(call *c)                                                                       \
    {                                                                                                   \
        c->result[0] = (uint32_t)bm_dot_s8__##F(c->a[0], c->a[1], c->u[0]);                             \
    }                                                                                                   \
    static void supported__##F(call *c)                                                                 \
    {                                                                                                   \
        c->result[0] = (uint32_t)bm_supported__##F();                                                   \
    }

#define ENTRIES(F)                                                                                      \
    {"gemv_t2s8__" #F, gemv__##F}, {"dots_s8__" #F, dots__##F}, {"wsum_s8__" #F, wsum__##F},            \
    {"dot_s8__" #F, dot__##F}, {"supported__" #F, supported__##F},

FAMILY(portable)
#if defined(__x86_64__)
FAMILY(avx2)
FAMILY(avxvnni)
FAMILY(avx512vnni)
#elif defined(__aarch64__)
FAMILY(neon)
#if defined(BM_WITH_DOT_PRODUCT)
FAMILY(neondot)
#endif
#endif

static const entry table[] = {
    ENTRIES(portable)
#if defined(__x86_64__)
    ENTRIES(avx2)
    ENTRIES(avxvnni)
    ENTRIES(avx512vnni)
#elif defined(__aarch64__)
    ENTRIES(neon)
#if defined(BM_WITH_DOT_PRODUCT)
    ENTRIES(neondot)
#endif
#endif
};

int main(void)
{
    return driver_serve(table, sizeof table / sizeof *table);
}
