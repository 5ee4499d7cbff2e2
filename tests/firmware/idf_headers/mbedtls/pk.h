/* SPDX-License-Identifier: Apache-2.0 */
/* Mbed TLS 3, include/mbedtls/pk.h and md.h (tf-psa-crypto's pk.h since 4.0). */
#pragma once
#include <stddef.h>
typedef enum { MBEDTLS_MD_NONE = 0, MBEDTLS_MD_SHA256 = 9 } mbedtls_md_type_t;
typedef struct {
    const void *pk_info;
    void *pk_ctx;
} mbedtls_pk_context;
void mbedtls_pk_init(mbedtls_pk_context *context);
void mbedtls_pk_free(mbedtls_pk_context *context);
int mbedtls_pk_parse_public_key(mbedtls_pk_context *context, const unsigned char *key, size_t key_bytes);
int mbedtls_pk_verify(mbedtls_pk_context *context, mbedtls_md_type_t md, const unsigned char *hash,
    size_t hash_bytes, const unsigned char *signature, size_t signature_bytes);
