/* SPDX-License-Identifier: MIT-0 */
/* Signatures, checked by OpenSSL 1.1.1 or newer. */
#include "bm_update_signature.h"

#if defined __has_include
#if !__has_include(<openssl/evp.h>)
#error "signed updates need OpenSSL for the board: install libssl-dev, or build the project on the board"
#endif
#endif
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "bm_config.h"

int bm_update_signed(const uint8_t hash[32], const uint8_t *signature, uint32_t n)
{
    static const uint8_t bytes[] = BM_UPDATE_KEY;
    const unsigned char *at = bytes;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)sizeof bytes);
    EVP_PKEY_CTX *check = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    const int good = check && EVP_PKEY_verify_init(check) == 1 &&
                     EVP_PKEY_CTX_set_signature_md(check, EVP_sha256()) == 1 &&
                     EVP_PKEY_verify(check, signature, n, hash, 32) == 1;
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_free(key);
    return good;
}
