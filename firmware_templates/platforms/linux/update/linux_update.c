/* SPDX-License-Identifier: MIT-0 */
#define _GNU_SOURCE
#include "linux_update.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bm_bytes.h"
#include "bm_update_proof.h"
#if BM_UPDATE_SIGNED
#include "bm_update_signature.h"
#else
#define bm_update_signed NULL
#endif

#define PROOF_ROOM 65536u

char **linux_arguments;

static bm_update update;
static const char *place; /* the folder */
static const bm_ram *rams;
static bm_state *model;

static int open_area(uint32_t area, int how)
{
    static const char *const names[BM_UPDATE_AREAS] = {"records", "slot-a", "slot-b"};
    char path[4096];
    const int n = snprintf(path, sizeof path, "%s/%s", place, names[area]);
    if (n < 0 || (size_t)n >= sizeof path) return -1;
    /* A new package goes into a new file: programs beside this one go on with the old one's bytes, which they mapped. */
    if (how & O_TRUNC && unlink(path) != 0 && errno != ENOENT) return -1;
    return open(path, (how & ~O_TRUNC) | O_CLOEXEC, 0644);
}

static int device_read(void *context, uint32_t area, uint32_t offset, void *to, uint32_t n)
{
    (void)context;
    const int file = open_area(area, O_RDONLY);
    uint32_t done = 0;
    while (file >= 0 && done < n) {
        const ssize_t got = pread(file, (char *)to + done, n - done, (off_t)(offset + done));
        if (got == 0 || (got < 0 && errno != EINTR)) break;
        if (got > 0) done += (uint32_t)got;
    }
    if (file >= 0) close(file);
    return done == n ? 0 : -1;
}

/* The name of a new file lasts, too. */
static int sync_folder(void)
{
    const int folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int bad = folder < 0 || fsync(folder) != 0;
    if (folder >= 0) close(folder);
    return bad ? -1 : 0;
}

static int device_write(void *context, uint32_t area, uint32_t offset, const void *unit)
{
    (void)context;
    const int anew = area != BM_UPDATE_RECORDS && offset == 0;
    const int file = open_area(area, O_WRONLY | O_CREAT | (anew ? O_TRUNC : 0));
    uint32_t done = 0;
    while (file >= 0 && done < BM_UPDATE_UNIT) {
        const ssize_t put = pwrite(
            file, (const char *)unit + done, BM_UPDATE_UNIT - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR) break;
        if (put > 0) done += (uint32_t)put;
    }
    const int bad = file < 0 || done != BM_UPDATE_UNIT || fdatasync(file) != 0;
    if (file >= 0) close(file);
    return bad || ((anew || area == BM_UPDATE_RECORDS) && sync_folder() != 0) ? -1 : 0;
}

/* Make the folder ours until the program ends. */
static int lock_folder(void)
{
    if (mkdir(place, 0755) != 0 && errno != EEXIST) return -1;
    const int folder = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder >= 0 && access(place, W_OK) == 0 ? flock(folder, LOCK_EX | LOCK_NB) : -1;
}

/* The package of a slot, mapped; NULL: it is not there, or cut short. */
static const uint8_t *map(uint32_t area, size_t bytes)
{
    struct stat what;
    const int file = open_area(area, O_RDONLY);
    void *at = MAP_FAILED;
    if (file >= 0 && fstat(file, &what) == 0 && (uint64_t)what.st_size >= bytes)
        at = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (file >= 0) close(file);
    return at == MAP_FAILED ? NULL : at;
}

static int attempt(void *context, uint32_t area, const bm_slot *slot, int proof)
{
    const uint32_t n = bm_get_u32(slot->head + BM_UPDATE_PROOF_AT), room = bm_update_filled(BM_BLOB_BYTES);
    const uint8_t *at = map(area, (size_t)room + n);
    (void)context;
    if (!at || (proof && !bm_update_whole(&update, area))) return 1;
    bm_status status = bm_init(model, at, BM_BLOB_BYTES, rams);
    if (status == BM_OK && proof) {
        if (!bm_update_prove(model, at + room, n)) return 1;
        status = bm_init(model, at, BM_BLOB_BYTES, rams);
    }
    if (status == BM_OK) return 0;
    return proof || status == BM_ERR_BLOB || status == BM_ERR_TOKENIZER ? 1 : -1;
}

bm_update *linux_updates(void) { return &update; }

int linux_update_start(bm_state *s, const char *folder, int writable, const bm_ram ram[BM_RAMS])
{
    static const uint8_t build[32] = BM_UPDATE_BUILD;
    place = folder;
    model = s;
    rams = ram;
    const int ours = writable && lock_folder() == 0;
    const bm_update_device device = {NULL, device_read, ours ? device_write : NULL,
        bm_update_filled(BM_BLOB_BYTES) + PROOF_ROOM, bm_update_signed};
    bm_update_open(&update, &device, build, BM_BLOB_BYTES);
    return bm_update_start(&update, attempt, NULL) != BM_UPDATE_FACTORY;
}
