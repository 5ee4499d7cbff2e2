/* SPDX-License-Identifier: MIT-0 */
/* Kernel family `rvv`: RISC-V with the vector extension, RVV 1.0, whatever the length of its vectors. Integers only.
 *
 * Layout (codegen/pack.py): row after row; a row of K (padded to 64) has K/4 bytes:
 *
 *     byte j, plane p (bits 2p, 2p+1) = code of k = p K/4 + j,   code = w + 1
 *
 * So a vector of bytes, however long, meets four vectors of x that lie together in memory. Four rows share them.
 * Groups of two registers (m2) at SEW 8 leave room for four rows of 16-bit sums: 8 registers hold x, 16 the sums.
 * A last, shorter pass leaves the lanes behind it as they were (_tu).
 */
#include "bm_kernels.h"

#if defined(__riscv_v) && defined(__riscv_v_intrinsic)

#include <riscv_vector.h>
#include <setjmp.h>
#include <signal.h>

static jmp_buf refused;

static void refuse(int number)
{
    (void)number;
    longjmp(refused, 1);
}

/* Asks for 16 bytes in one register, which every RVV 1.0 of application processors has (128 bits). Draft 0.7.1, as on the C906,
 * has no such instruction. Linux 6.5 tells programs by a bit of AT_HWCAP; older systems and emulators do not. */
static int sixteen_bytes(void)
{
    unsigned long vl, vtype;
    __asm__ volatile("vsetivli %0, 16, e8, m1, ta, ma\n\tcsrr %1, vtype" : "=r"(vl), "=r"(vtype));
    return vl == 16u && (long)vtype >= 0;
}

/* Once: where the signal has come it stays blocked. */
int bm_kernels_supported(void)
{
    static volatile int known, yes;
    if (known) return yes;
    void (*before)(int) = signal(SIGILL, refuse);
    if (setjmp(refused) == 0) yes = sixteen_bytes();
    signal(SIGILL, before);
    known = 1;
    return yes;
}

/* acc += codes of one row times x, plane by plane. */
static inline vint16m4_t add_row(
    vint16m4_t acc, const uint8_t *w, vint8m2_t x0, vint8m2_t x1, vint8m2_t x2, vint8m2_t x3, size_t vl)
{
    const vuint8m2_t c = __riscv_vle8_v_u8m2(w, vl);
    acc = __riscv_vwmaccsu_vv_i16m4_tu(acc, x0, __riscv_vand_vx_u8m2(c, 3, vl), vl);
    acc = __riscv_vwmaccsu_vv_i16m4_tu(
        acc, x1, __riscv_vand_vx_u8m2(__riscv_vsrl_vx_u8m2(c, 2, vl), 3, vl), vl);
    acc = __riscv_vwmaccsu_vv_i16m4_tu(
        acc, x2, __riscv_vand_vx_u8m2(__riscv_vsrl_vx_u8m2(c, 4, vl), 3, vl), vl);
    return __riscv_vwmaccsu_vv_i16m4_tu(acc, x3, __riscv_vsrl_vx_u8m2(c, 6, vl), vl);
}

/* The sum of the 16-bit lanes and of `start`. */
static inline int32_t total(vint16m4_t acc, int32_t start, size_t lanes)
{
    const vint32m1_t sum = __riscv_vmv_s_x_i32m1(start, 1);
    return __riscv_vmv_x_s_i32m1_i32(__riscv_vwredsum_vs_i16m4_i32m1(acc, sum, lanes));
}

/* Bounds: a pass adds at most 4 planes * 2 * 127 = 1016 to a 16-bit lane. A pass takes at least 2 * 128 bits = 32 bytes of a row,
 * so K <= 4096, 1024 bytes, are at most 32 passes: 32512 <= 32767. The sum of all: 2 * 127 * K < 2^31. */
void bm_gemv_t2s8(const uint8_t *w, const int8_t *x, int32_t xsum, uint32_t n, uint32_t k, int32_t *y)
{
    const size_t row = (size_t)(k + 63u) / 64u * 16u, lanes = __riscv_vsetvl_e8m2(row);
    for (uint32_t i = 0; i < n; i += 4u, w += 4u * row, y += 4) {
        vint16m4_t a = __riscv_vmv_v_x_i16m4(0, lanes), b = a, c = a, d = a;
        size_t vl;
        for (size_t j = 0; j < row; j += vl) {
            vl = __riscv_vsetvl_e8m2(row - j);
            const vint8m2_t x0 = __riscv_vle8_v_i8m2(x + j, vl);
            const vint8m2_t x1 = __riscv_vle8_v_i8m2(x + row + j, vl);
            const vint8m2_t x2 = __riscv_vle8_v_i8m2(x + 2u * row + j, vl);
            const vint8m2_t x3 = __riscv_vle8_v_i8m2(x + 3u * row + j, vl);
            a = add_row(a, w + j, x0, x1, x2, x3, vl);
            b = add_row(b, w + row + j, x0, x1, x2, x3, vl);
            c = add_row(c, w + 2u * row + j, x0, x1, x2, x3, vl);
            d = add_row(d, w + 3u * row + j, x0, x1, x2, x3, vl);
        }
        y[0] = total(a, -xsum, lanes);
        y[1] = total(b, -xsum, lanes);
        y[2] = total(c, -xsum, lanes);
        y[3] = total(d, -xsum, lanes);
    }
}

/* start + a . b of vl bytes: products of 16 bits, one reduction. Bound: 127^2 * len < 2^31 for len <= 133,000. */
static inline int32_t dot(const int8_t *a, vint8m4_t b, int32_t start, size_t vl)
{
    const vint16m8_t products = __riscv_vwmul_vv_i16m8(__riscv_vle8_v_i8m4(a, vl), b, vl);
    const vint32m1_t sum = __riscv_vmv_s_x_i32m1(start, 1);
    return __riscv_vmv_x_s_i32m1_i32(__riscv_vwredsum_vs_i16m8_i32m1(products, sum, vl));
}

int32_t bm_dot_s8(const int8_t *a, const int8_t *b, uint32_t len)
{
    int32_t sum = 0;
    size_t vl;
    for (size_t k = 0; k < len; k += vl) {
        vl = __riscv_vsetvl_e8m4(len - k);
        sum = dot(a + k, __riscv_vle8_v_i8m4(b + k, vl), sum, vl);
    }
    return sum;
}

/* A piece of q stays in its registers while all rows pass. */
void bm_dots_s8(const int8_t *a, uint32_t stride, const int8_t *q, uint32_t n, uint32_t len, int32_t *y)
{
    size_t vl;
    for (size_t k = 0; k < len; k += vl) {
        const int8_t *row = a + k;
        vl = __riscv_vsetvl_e8m4(len - k);
        const vint8m4_t piece = __riscv_vle8_v_i8m4(q + k, vl);
        for (uint32_t i = 0; i < n; i++, row += stride) y[i] = dot(row, piece, k ? y[i] : 0, vl);
    }
}

/* Columns in lanes, down the rows; w <= 2^14 fits 16 bits. Bound: 2^14 * 127 * n < 2^31 for n <= 1032. */
void bm_wsum_s8(const int32_t *w, const int8_t *v, uint32_t stride, uint32_t n, uint32_t len, int32_t *y)
{
    size_t vl;
    for (size_t k = 0; k < len; k += vl) {
        const int8_t *row = v + k;
        vl = __riscv_vsetvl_e8m2(len - k);
        vint32m8_t acc = __riscv_vmv_v_x_i32m8(0, vl);
        for (uint32_t i = 0; i < n; i++, row += stride) {
            const vint16m4_t values = __riscv_vsext_vf2_i16m4(__riscv_vle8_v_i8m2(row, vl), vl);
            acc = __riscv_vwmacc_vx_i32m8(acc, (int16_t)w[i], values, vl);
        }
        __riscv_vse32_v_i32m8(y + k, acc, vl);
    }
}

#else
#error \
    "rvv kernels: compile with gcc 13 or clang 16, or a later one, and -march=rv64gcv, or generate the project with --kernels portable"
#endif
