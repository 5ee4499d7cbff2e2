/* SPDX-License-Identifier: Apache-2.0 */
/* espidf_update.c on this computer, on a simulated flash that loses its power: a write only clears bits, an erasure sets them, and
 * the one that dies has done a part of it.
 *
 *   espidf_flash PARTITIONS.csv SEED [good|bad|crash|rotten|forged]=PACKAGE...
 *
 * Each package in turn, cut at every erasure and every write; `bad`: it does not prove itself, `crash`: it hangs in its proof, and the
 * watchdog restarts the chip. After every start the model before runs, whole, or the new one. Prints cuts, starts, crashes; exit
 * status 1 and a line at the first bad state.
 */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bm_bytes.h"
#include "bm_crc32.h"
#include "bm_protocol.h"
#include "esp_partition.h"
#include "esp_task_wdt.h"
#include "espidf_update.h"
#include "mbedtls/pk.h"

#define MUST(what) \
    do { \
        if (!(what)) { \
            printf("line %d: %s\n", __LINE__, #what); \
            exit(1); \
        } \
    } while (0)
#define UNIT BM_UPDATE_UNIT

static uint8_t *flash, *before;
static uint32_t first, end; /* of what belongs to models */
static esp_partition_t partitions[8];
static uint64_t seed;
static unsigned long operations, cut_at, cuts, starts, crashes;
static int dead, watched, mapped, erased_only;
static jmp_buf reset;

static const uint8_t *package; /* that is sent */
static uint32_t body;
static enum { GOOD, BAD, CRASH } kind;
static bm_state state;
static uint8_t memory[BM_RAM_TOTAL] __attribute__((aligned(64)));

static uint32_t draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

/* -- ESP-IDF ----------------------------------------------------------------------------------- */

const esp_partition_t *esp_partition_find_first(
    esp_partition_type_t type, esp_partition_subtype_t subtype, const char *label)
{
    (void)label;
    for (size_t i = 0; i < sizeof partitions / sizeof *partitions; i++)
        if (partitions[i].size && partitions[i].type == type && partitions[i].subtype == subtype)
            return &partitions[i];
    return NULL;
}

static uint8_t *place(const esp_partition_t *p, size_t offset, size_t n)
{
    MUST(offset <= p->size && n <= p->size - offset);
    return flash + p->address + offset;
}

esp_err_t esp_partition_read(const esp_partition_t *p, size_t offset, void *to, size_t n)
{
    memcpy(to, place(p, offset, n), n);
    return dead ? 1 : ESP_OK;
}

esp_err_t esp_partition_mmap(const esp_partition_t *p, size_t offset, size_t n,
    esp_partition_mmap_memory_t what, const void **to, esp_partition_mmap_handle_t *handle)
{
    (void)what;
    *to = place(p, offset, n);
    *handle = 1;
    mapped += !dead;
    return dead ? 1 : ESP_OK;
}

void esp_partition_munmap(esp_partition_mmap_handle_t handle) { mapped -= (int)handle; }

static int dies(void)
{
    if (++operations != cut_at) return 0;
    cuts++;
    return dead = 1;
}

esp_err_t esp_partition_erase_range(const esp_partition_t *p, size_t offset, size_t n)
{
    uint8_t *at = place(p, offset, n);
    MUST(offset % UNIT == 0 && n % UNIT == 0);
    if (dead) return 1;
    if (!dies()) {
        memset(at, 0xFF, n);
        erased_only = 1;
        return ESP_OK;
    }
    for (size_t i = 0, part = draw() % 2u ? draw() % n : n; i < part; i++) at[i] |= (uint8_t)draw();
    return 1;
}

esp_err_t esp_partition_write(const esp_partition_t *p, size_t offset, const void *from, size_t n)
{
    uint8_t *at = place(p, offset, n);
    if (dead) return 1;
    MUST(erased_only); /* nothing came between */
    erased_only = 0;
    const int cut = dies();
    const size_t part = cut ? draw() % (n + 1u) : n;
    for (size_t i = 0; i < part; i++) at[i] &= ((const uint8_t *)from)[i];
    if (part < n) at[part] &= (uint8_t)(((const uint8_t *)from)[part] | draw());
    return cut ? 1 : ESP_OK;
}

esp_err_t esp_task_wdt_init(const esp_task_wdt_config_t *config)
{
    MUST(config->trigger_panic && config->idle_core_mask == 0 && config->timeout_ms >= 10000u);
    return ESP_OK;
}

esp_err_t esp_task_wdt_reconfigure(const esp_task_wdt_config_t *config)
{ return draw() % 2u ? esp_task_wdt_init(config) : 1; /* ESP_ERR_INVALID_STATE: nobody has started it */ }

esp_err_t esp_task_wdt_add(TaskHandle_t task)
{
    (void)task;
    MUST(!watched);
    watched = 1;
    if (kind != CRASH ||
        memcmp(flash + esp_partition_find_first(0x40, 3, NULL)->address, package + BM_UPDATE_HEAD, 64) != 0)
        return ESP_OK;
    crashes++;
    longjmp(reset, 1);
}

esp_err_t esp_task_wdt_delete(TaskHandle_t task)
{
    (void)task;
    MUST(watched);
    watched = 0;
    return ESP_OK;
}

/* -- mbedTLS, by OpenSSL ----------------------------------------------------------------------- */

void mbedtls_pk_init(mbedtls_pk_context *key) { memset(key, 0, sizeof *key); }

void mbedtls_pk_free(mbedtls_pk_context *key) { EVP_PKEY_free(key->pk_ctx); }

int mbedtls_pk_parse_public_key(mbedtls_pk_context *key, const unsigned char *bytes, size_t n)
{ return (key->pk_ctx = d2i_PUBKEY(NULL, &bytes, (long)n)) ? 0 : -1; }

int mbedtls_pk_verify(mbedtls_pk_context *key, mbedtls_md_type_t md, const unsigned char *hash, size_t n,
    const unsigned char *signature, size_t signature_bytes)
{
    EVP_PKEY_CTX *check = EVP_PKEY_CTX_new(key->pk_ctx, NULL);
    MUST(md == MBEDTLS_MD_SHA256 && n == 32 && check && EVP_PKEY_verify_init(check) == 1);
    const int good = EVP_PKEY_verify(check, signature, signature_bytes, hash, n) == 1;
    EVP_PKEY_CTX_free(check);
    return good ? 0 : -1;
}

/* -- the device -------------------------------------------------------------------------------- */

/* Switch on, until a start comes to its end; the power goes once more at operation `again`, if that is not 0. The model that runs:
 * [32]. */
static const uint8_t *boot(unsigned long again)
{
    static unsigned long next;
    static volatile int tries;
    bm_ram ram[BM_RAMS];
    next = again;
    tries = 0;
    setjmp(reset);
    MUST(++tries < 20);
    dead = watched = mapped = 0;
    operations = 0;
    cut_at = next;
    next = 0;
    starts++;
    bm_ram_slice(memory, ram);
    const int updated = espidf_update_start(&state, ram);
    if (dead) longjmp(reset, 1);
    cut_at = 0;
    MUST(!watched && mapped == updated); /* nothing is left of what was tried before */
    if (!updated)
        MUST(bm_init(&state, flash + esp_partition_find_first(0x40, 0, NULL)->address, BM_BLOB_BYTES, ram) ==
             BM_OK);
    if (updated) MUST(bm_update_whole(espidf_updates(), espidf_updates()->running));
    return bm_model_digest(&state);
}

static int send(void)
{
    bm_update *u = espidf_updates();
    uint32_t value = 0;
    if (bm_update_begin(u, package, BM_UPDATE_HEAD, &value) != 0) return 0;
    while (value < body) {
        const uint8_t *p = package + BM_UPDATE_HEAD + value;
        if (bm_update_block(u, value, bm_crc32(0, p, UNIT), p, UNIT, &value) != 0) return 0;
    }
    return bm_update_finish(u, &value) == 0 && bm_update_activate(u, &value) == 0;
}

static void update(void)
{
    uint8_t old[32];
    const uint8_t *new = package + BM_UPDATE_MODEL_AT;
    memcpy(old, boot(0), 32);
    memcpy(before + first, flash + first, end - first);
    int cut = 1;
    for (unsigned long k = 1; cut; k++) {
        memcpy(flash + first, before + first, end - first);
        MUST(memcmp(boot(0), old, 32) == 0);
        operations = 0;
        cut_at = k;
        const int told = send();
        cut = dead;
        const uint8_t *runs = cut ? boot(draw() % 4u) : old;
        const int is_old = memcmp(runs, old, 32) == 0;
        MUST(is_old || (kind == GOOD && memcmp(runs, new, 32) == 0));
        if (is_old && !told) MUST(send()); /* the host comes again */
        MUST(memcmp(boot(draw() % 5u), kind == GOOD ? new : old, 32) == 0);
    }
    operations = cut_at = 0;
}

/* -- files ------------------------------------------------------------------------------------- */

static uint8_t *load(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    MUST(f && fseek(f, 0, SEEK_END) == 0);
    *n = (size_t)ftell(f);
    uint8_t *p = malloc(*n);
    rewind(f);
    MUST(p && fread(p, 1, *n, f) == *n);
    fclose(f);
    return p;
}

static void read_table(const char *path)
{
    char line[256], type[32], subtype[32];
    FILE *f = fopen(path, "r");
    size_t n = 0;
    MUST(f);
    while (fgets(line, sizeof line, f)) {
        esp_partition_t *p = &partitions[n];
        unsigned address, size;
        if (sscanf(line, "%16[^,], %31[^,], %31[^,], %x, %x,", p->label, type, subtype, &address, &size) != 5)
            continue;
        if (strcmp(type, "0x40") != 0) continue;
        p->type = 0x40;
        p->subtype = (esp_partition_subtype_t)strtoul(subtype, NULL, 16);
        p->address = address;
        p->size = size;
        MUST(address % UNIT == 0 && size % UNIT == 0);
        if (!first) first = address;
        if (strncmp(p->label, "model", 5) == 0) end = address + size;
        n++;
        MUST(n < 8u && address + size <= 16u << 20);
    }
    fclose(f);
}

int main(int argc, char **argv)
{
    size_t n;
    if (argc < 4) return 2;
    read_table(argv[1]);
    seed = strtoul(argv[2], NULL, 10);
    flash = malloc(16u << 20);
    before = malloc(16u << 20);
    MUST(flash && before);
    for (uint32_t i = 0; i < 16u << 20; i++) flash[i] = (uint8_t)(draw() >> 7); /* anything */
    uint8_t *blob = load("model.blob", &n);
    MUST(n == BM_BLOB_BYTES);
    memcpy(flash + esp_partition_find_first(0x40, 0, NULL)->address, blob, n);
    for (int i = 3; i < argc; i++) {
        char *path = strchr(argv[i], '=');
        MUST(path);
        kind = argv[i][0] == 'b' ? BAD : argv[i][0] == 'c' ? CRASH : GOOD;
        uint8_t *whole = load(path + 1, &n);
        package = whole;
        body = (uint32_t)n - BM_UPDATE_HEAD;
        if (argv[i][0] == 'f') { /* nobody signed it */
            uint32_t value;
            boot(0);
            MUST(bm_update_begin(espidf_updates(), package, BM_UPDATE_HEAD, &value) == BM_RESULT_UNSIGNED);
        } else if (argv[i][0] == 'r') { /* a bit changes before the start, where the hash alone covers it */
            uint8_t old[32];
            memcpy(old, boot(0), 32);
            MUST(espidf_updates()->running == BM_UPDATE_B && send());
            flash[esp_partition_find_first(0x40, 3, NULL)->address + body - 1u] ^= 1;
            MUST(memcmp(boot(0), old, 32) == 0);
        } else {
            update();
        }
        free(whole);
    }
    free(blob);
    free(before);
    free(flash);
    printf("%lu %lu %lu\n", cuts, starts, crashes);
    return 0;
}
