/* SPDX-License-Identifier: MIT-0 */
/* What other build systems are told with flags: Arduino takes none from a library, and compiles GNU C for size, where gcc
 * fuses a multiply with an add. */
#ifndef BM_COMPILER_H
#define BM_COMPILER_H

#include <stdint.h>

#define BM_WEAK __attribute__((weak)) /* a kernel family may have its own */

#if UINTPTR_MAX < 0xFFFFFFFFu
#error "the model needs a processor with addresses of 32 bits"
#endif

#if defined(ARDUINO) && !defined(__cplusplus)
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("O2", "fp-contract=off")
#endif
#endif

#endif
