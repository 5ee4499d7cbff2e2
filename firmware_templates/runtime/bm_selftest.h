/* Boot self-test: does this toolchain and processor keep the numerics contract? */
#ifndef BM_SELFTEST_H
#define BM_SELFTEST_H

/* NULL, or one sentence that names the broken rule. */
const char *bm_selftest(void);

#endif
