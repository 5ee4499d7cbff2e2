/* SPDX-License-Identifier: MIT-0 */
/* Signatures, checked by ESP-IDF's mbedTLS. */
#include "bm_config.h"
#include "bm_update_signature.h"
#include "mbedtls/pk.h"

int bm_update_signed(const uint8_t hash[32], const uint8_t *signature, uint32_t n)
{
    static const uint8_t bytes[] = BM_UPDATE_KEY;
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    const int good = mbedtls_pk_parse_public_key(&key, bytes, sizeof bytes) == 0 &&
                     mbedtls_pk_verify(&key, MBEDTLS_MD_SHA256, hash, 32, signature, n) == 0;
    mbedtls_pk_free(&key);
    return good;
}
