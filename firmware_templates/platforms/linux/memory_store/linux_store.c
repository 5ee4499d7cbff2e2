/* SPDX-License-Identifier: MIT-0 */
/* The store's device on Linux. The kernel reads ahead (posix_fadvise). A thread of ours that filled the store's second buffer was
 * measured to cost more than it hides: on cores that compute, handing over 8 KiB takes many times longer than copying them
 * out of the page cache (docs/explanation/memory-store.md).
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "linux_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int disk = -1;

bm_store_status linux_store_reason(int error)
{
    switch (error) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
    case ENOTDIR: return BM_STORE_MISSING;
    case EACCES:
    case EPERM: return BM_STORE_PERMISSION;
    case EWOULDBLOCK:
    case EBUSY:
    case ETXTBSY: return BM_STORE_BUSY;
    case EROFS:
    case EBADF: return BM_STORE_READ_ONLY;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return BM_STORE_FULL;
    case EISDIR: return BM_STORE_FOREIGN;
    }
    return BM_STORE_IO;
}

static bm_store_status device_read(void *context, uint64_t offset, void *to, uint32_t n)
{
    (void)context;
    for (uint32_t done = 0; done < n;) {
        const ssize_t got = pread(disk, (char *)to + done, n - done, (off_t)(offset + done));
        if (got == 0) return BM_STORE_SHORT;
        if (got < 0 && errno != EINTR) return linux_store_reason(errno);
        if (got > 0) done += (uint32_t)got;
    }
    return BM_STORE_OK;
}

static bm_store_status device_write(void *context, uint64_t offset, const void *from, uint32_t n)
{
    (void)context;
    for (uint32_t done = 0; done < n;) {
        const ssize_t put = pwrite(disk, (const char *)from + done, n - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR) return linux_store_reason(errno);
        if (put > 0) done += (uint32_t)put;
    }
    return BM_STORE_OK;
}

static bm_store_status device_sync(void *context)
{
    (void)context;
    return fdatasync(disk) == 0 ? BM_STORE_OK : linux_store_reason(errno);
}

/* A regular file or a block device that is ours alone if we write; space for every byte, so that no episode finds the disk full. */
static bm_store_status check_file(int writable, uint64_t *size)
{
    struct stat what;
    if (fstat(disk, &what) != 0) return linux_store_reason(errno);
    if (!S_ISREG(what.st_mode) && !S_ISBLK(what.st_mode)) return BM_STORE_FOREIGN;
    if (flock(disk, (writable ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) return linux_store_reason(errno);
    const off_t end = lseek(disk, 0, SEEK_END);
    if (end < 0) return linux_store_reason(errno);
    *size = (uint64_t)end;
    if (writable && S_ISREG(what.st_mode) && end > 0) {
        const int error = posix_fallocate(disk, 0, end);
        if (error != 0 && error != EOPNOTSUPP && error != EINVAL) return linux_store_reason(error);
    }
    return BM_STORE_OK;
}

bm_store_status linux_store_open(bm_store_device *device, const char *path, int writable)
{
    const bm_store_device opened = {device_read, writable ? device_write : NULL, device_sync, NULL, NULL, 0};
    *device = opened;
    disk = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC |
                          O_NONBLOCK); /* not waiting for the other end of a pipe */
    if (disk < 0) return linux_store_reason(errno);
    const bm_store_status status = check_file(writable, &device->size);
    if (status != BM_STORE_OK) {
        linux_store_close();
        return status;
    }
    (void)posix_fadvise(disk, 0, 0, POSIX_FADV_SEQUENTIAL);
    return BM_STORE_OK;
}

void linux_store_close(void)
{
    if (disk >= 0) close(disk);
    disk = -1;
}
