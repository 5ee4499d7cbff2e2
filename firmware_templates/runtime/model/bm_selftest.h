/* SPDX-License-Identifier: MIT-0 */
/* Boot self-test: does this toolchain and processor keep the numerics contract?
 *
 * Returns NULL, or one sentence that names the broken rule: contraction, flush-to-zero, division, rounding,
 * square root, exponential, quantisation, or the kernel family. Uses 4 KiB of static memory
 * and less than 1 KiB of stack.
 */
#ifndef BM_SELFTEST_H
#define BM_SELFTEST_H

#ifdef __cplusplus
extern "C" {
#endif

const char *bm_selftest(void);

#ifdef __cplusplus
}
#endif
#endif
