/* SPDX-License-Identifier: MIT-0 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "linux_first.h"
#include "linux_store.h"

#define MOST_PATH 4096

static int write_all(int file, uint64_t offset, const void *from, uint32_t n)
{
    for (uint32_t done = 0; done < n;) {
        const ssize_t put = pwrite(file, (const char *)from + done, n - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR) return errno;
        if (put > 0) done += (uint32_t)put;
    }
    return 0;
}

static int fill(int file)
{
    if (ftruncate(file, (off_t)linux_first_bytes) != 0) return errno;
    for (uint32_t i = 0; i < linux_first_pieces; i++) {
        const linux_piece *p = &linux_first[i];
        const int error = write_all(file, p->offset, p->words, p->bytes);
        if (error) return error;
    }
    return fdatasync(file) == 0 ? 0 : errno;
}

/* Give the new file its name, unless another program was quicker. A file system without links has no better way than to rename. */
static int settle(const char *made, const char *path)
{
    if (link(made, path) == 0) return unlink(made) == 0 ? 0 : errno;
    if (errno == EEXIST) return EEXIST;
    return rename(made, path) == 0 ? 0 : errno;
}

bm_store_status linux_first_make(const char *path)
{
    char made[MOST_PATH];
    const int length = snprintf(made, sizeof made, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof made) return BM_STORE_MISSING;
    const int file = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file < 0) return linux_store_reason(errno);
    int error = fill(file);
    if (close(file) != 0 && !error) error = errno;
    if (!error) error = settle(made, path);
    if (error) unlink(made);
    return error && error != EEXIST ? linux_store_reason(error) : BM_STORE_OK;
}
