/* SPDX-License-Identifier: MIT-0 */
/* The check of a package's signature, which the platform brings. */
#ifndef BM_UPDATE_SIGNATURE_H
#define BM_UPDATE_SIGNATURE_H

#include <stdint.h>

/* bm_update_device.verify, with the key BM_UPDATE_KEY of bm_config.h. */
int bm_update_signed(const uint8_t hash[32], const uint8_t *signature, uint32_t n);

#endif
