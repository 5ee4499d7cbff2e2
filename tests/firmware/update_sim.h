/* SPDX-License-Identifier: Apache-2.0 */
/* Simulated storage for updates, and packages: of blobs of three units, with a proof of one. */
#ifndef UPDATE_SIM_H
#define UPDATE_SIM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_bytes.h"
#include "bm_crc32.h"
#include "bm_protocol.h"
#include "bm_sha256.h"
#include "bm_update.h"

#define UNIT BM_UPDATE_UNIT
#define BLOB (3u * UNIT - 100u) /* built with BM_UPDATE_NOTED 2: the record is written on the way */
#define PROOF 60u
#define ALL (4u * UNIT)

static uint8_t area[BM_UPDATE_AREAS][ALL]; /* the storage */
static uint8_t build[32], packages[2][ALL], heads[2][BM_UPDATE_HEAD];
static uint8_t *package = packages[0], *head = heads[0]; /* what is sent: the owner's, or another's */
static uint64_t seed;
static unsigned long writes, cut_at, cuts;
static int dead;                 /* the power is off */
static uint32_t crcs[1u << 16];  /* of the packages, by number */

static uint32_t draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

static int device_read(void *context, uint32_t a, uint32_t offset, void *to, uint32_t n)
{
    (void)context;
    if (dead) return -1;
    memcpy(to, area[a] + offset, n);
    return 0;
}

/* The write that dies leaves the old unit, an erased one, the new one, a part of it, or anything. */
static int device_write(void *context, uint32_t a, uint32_t offset, const void *unit)
{
    uint8_t *p = area[a] + offset;
    (void)context;
    if (dead) return -1;
    if (offset % UNIT || offset + UNIT > ALL) abort();
    if (++writes != cut_at) {
        memcpy(p, unit, UNIT);
        return 0;
    }
    dead = 1;
    cuts++;
    const uint32_t how = draw() % 5u, part = draw() % UNIT;
    if (how == 1 || how == 3) memset(p, 0xFF, UNIT);
    if (how == 2 || how == 3) memcpy(p, unit, how == 2 ? UNIT : part);
    if (how == 4)
        for (uint32_t i = 0; i < UNIT; i++) p[i] = (uint8_t)(draw() >> 5);
    return -1;
}

/* In the place of a signature: what stands for the key can be computed by the owner alone. */
static void sign(const uint8_t hash[32], uint8_t signature[32])
{
    for (int i = 0; i < 32; i++) signature[i] = (uint8_t)(hash[31 - i] ^ 0x5Au);
}

static inline int verify(const uint8_t hash[32], const uint8_t *signature, uint32_t n)
{
    uint8_t right[32];
    sign(hash, right);
    return n == sizeof right && memcmp(signature, right, sizeof right) == 0;
}

static bm_update_device device = {NULL, device_read, device_write, ALL, NULL};

/* Model `number`: its number stands in the blob, in the proof and in the head. Every seventh fails its proof, every ninth crashes. */
static inline int sound(uint32_t number) { return number % 7u != 3u && number % 9u != 4u; }

static void seal(uint8_t *h) { bm_put_u32(h + BM_UPDATE_CRC_AT, bm_crc32(0, h, BM_UPDATE_CRC_AT)); }

static void make_package(uint32_t number)
{
    bm_sha256 sha;
    uint32_t x = number * 2654435761u;
    uint8_t digest[32];
    memset(package, 0, ALL);
    memset(head, 0, BM_UPDATE_HEAD);
    for (uint32_t i = 0; i < BLOB; i++) package[i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
    bm_put_u32(package, number);
    bm_put_u32(package + ALL - UNIT, number);
    memcpy(head, "BMUP", 4);
    bm_put_u32(head + BM_UPDATE_VERSION_AT, 1);
    bm_put_u32(head + BM_UPDATE_BLOB_AT, BLOB);
    bm_put_u32(head + BM_UPDATE_PROOF_AT, PROOF);
    memcpy(head + BM_UPDATE_BUILD_AT, build, 32);
    bm_put_u32(head + BM_UPDATE_MODEL_AT, number);
    bm_sha256_begin(&sha);
    bm_sha256_add(&sha, package, ALL);
    bm_sha256_end(&sha, head + BM_UPDATE_HASH_AT);
    bm_sha256_begin(&sha);
    bm_sha256_add(&sha, head, BM_UPDATE_SIGNATURE_AT);
    bm_sha256_end(&sha, digest);
    bm_put_u32(head + BM_UPDATE_SIGNATURE_AT, sizeof digest);
    sign(digest, head + BM_UPDATE_SIGNATURE_AT + 4u);
    seal(head);
    crcs[number % 65536u] = bm_crc32(0, package, ALL);
}

/* As it came from the factory: anything. */
static void sim_fill(void)
{
    for (uint32_t i = 0; i < sizeof build; i++) build[i] = (uint8_t)(i * 7u + 1u);
    for (uint32_t a = 0; a < BM_UPDATE_AREAS; a++)
        for (uint32_t i = 0; i < ALL; i++) area[a][i] = (uint8_t)(draw() >> 7);
}

#endif
