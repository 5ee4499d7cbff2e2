/* SPDX-License-Identifier: MIT-0 */
/* Status codes of everything that can fail. */
#ifndef BM_STATUS_H
#define BM_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    BM_OK = 0,
    BM_ERR_BLOB = -1,      /* not a model blob, damaged, or made for another build */
    BM_ERR_ARENA = -2,     /* an arena is missing, too small or not aligned to 64 bytes */
    BM_ERR_TOKEN = -3,     /* token id outside the vocabulary */
    BM_ERR_IMAGE = -4,     /* image features that are not finite */
    BM_ERR_CPU = -5,       /* the processor lacks the instructions this build uses */
    BM_ERR_NUMERICS = -6,  /* the toolchain broke a numerics rule; see bm_selftest() */
    BM_ERR_TOKENIZER = -7, /* the blob holds no usable tokenizer */
    BM_ERR_MEMORY = -8,    /* the memory's rows cannot be read or written; its tier knows why */
    BM_ERR_KERNELS = -9    /* the kernels compute something else than they should */
} bm_status;

/* One sentence for a status code. */
const char *bm_status_text(bm_status status);

#ifdef __cplusplus
}
#endif
#endif
