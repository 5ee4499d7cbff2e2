/* Boot self-test: does this toolchain and processor keep the numerics contract?
 *
 * Returns NULL, or one sentence that names the broken rule: contraction, flush-to-zero, division, rounding,
 * square root, exponential, quantisation, or the kernel family. Needs about 4 KiB of static memory and no stack
 * to speak of; it takes less than a millisecond on a 1 GHz processor.
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
