/* The store's device on Linux. A thread reads the next block into the store's second buffer while the caller works on the
 * first one; the kernel reads further ahead of both (posix_fadvise). Either waits for the other by spinning for a while, since
 * a block that is in the page cache comes within microseconds, then sleeps.
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include "linux_store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SPIN_SECONDS 50e-6
#define READ_TIMEOUT_SECONDS 30

enum { FREE, QUEUED, DONE };

/* A read that the store has announced. `phase` says who may touch the rest (atomic). */
typedef struct {
    uint64_t offset;
    void *to;
    uint32_t n, number, phase;
    bm_store_status status;
} job;

static struct {
    int fd;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    job jobs[2];
    uint32_t number;     /* of the next job: the older one is read first */
    int running, asleep, waiting, stop; /* asleep, waiting: under the lock; stop: atomic */
    int dead;            /* a read did not end in time, and may still write into its buffer */
} disk = {.fd = -1};

static bm_store_status reason(int error)
{
    switch (error) {
    case ENOENT: case ENXIO: case ENODEV: case ENOTDIR: return BM_STORE_MISSING;
    case EACCES: case EPERM: return BM_STORE_PERMISSION;
    case EWOULDBLOCK: case EBUSY: case ETXTBSY: return BM_STORE_BUSY;
    case EROFS: case EBADF: return BM_STORE_READ_ONLY;
    case ENOSPC: case EDQUOT: case EFBIG: return BM_STORE_FULL;
    case EISDIR: return BM_STORE_FOREIGN;
    }
    return BM_STORE_IO;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t phase_of(const job *j)
{
    return __atomic_load_n(&j->phase, __ATOMIC_ACQUIRE);
}

static bm_store_status read_all(uint64_t offset, void *to, uint32_t n)
{
    for (uint32_t done = 0; done < n;) {
        const ssize_t got = pread(disk.fd, (char *)to + done, n - done, (off_t)(offset + done));
        if (got == 0) return BM_STORE_SHORT;
        if (got < 0 && errno != EINTR) return reason(errno);
        if (got > 0) done += (uint32_t)got;
    }
    return BM_STORE_OK;
}

/* -- the thread ------------------------------------------------------------------------------------------------------- */

static job *oldest(void)
{
    job *a = &disk.jobs[0], *b = &disk.jobs[1];
    const int has_a = phase_of(a) == QUEUED, has_b = phase_of(b) == QUEUED;
    if (has_a && has_b) return (int32_t)(a->number - b->number) < 0 ? a : b;
    return has_a ? a : has_b ? b : NULL;
}

static job *next_job(void)
{
    const double until = seconds() + SPIN_SECONDS;
    job *j = oldest();
    while (!j && seconds() < until) j = oldest();
    if (j) return j;
    pthread_mutex_lock(&disk.lock);
    disk.asleep = 1;
    while (!(j = oldest()) && !__atomic_load_n(&disk.stop, __ATOMIC_ACQUIRE)) pthread_cond_wait(&disk.wake, &disk.lock);
    disk.asleep = 0;
    pthread_mutex_unlock(&disk.lock);
    return j;
}

static void *read_ahead(void *unused)
{
    (void)unused;
    for (job *j = next_job(); j; j = next_job()) {
        j->status = read_all(j->offset, j->to, j->n);
        __atomic_store_n(&j->phase, DONE, __ATOMIC_RELEASE);
        pthread_mutex_lock(&disk.lock);
        if (disk.waiting) pthread_cond_signal(&disk.done);
        pthread_mutex_unlock(&disk.lock);
    }
    return NULL;
}

static bm_store_status finish(job *j)
{
    const double until = seconds() + SPIN_SECONDS;
    struct timespec deadline;
    int late = 0;
    while (phase_of(j) != DONE && seconds() < until) continue;
    if (phase_of(j) != DONE) {
        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += READ_TIMEOUT_SECONDS;
        pthread_mutex_lock(&disk.lock);
        disk.waiting = 1;
        while (phase_of(j) != DONE && !late) late = pthread_cond_timedwait(&disk.done, &disk.lock, &deadline) == ETIMEDOUT;
        disk.waiting = 0;
        pthread_mutex_unlock(&disk.lock);
    }
    if (phase_of(j) != DONE) {
        disk.dead = 1;
        return BM_STORE_TIMEOUT;
    }
    const bm_store_status status = j->status;
    __atomic_store_n(&j->phase, FREE, __ATOMIC_RELEASE);
    return status;
}

/* -- the device ------------------------------------------------------------------------------------------------------- */

static void device_prefetch(void *context, uint64_t offset, void *to, uint32_t n)
{
    job *j = phase_of(&disk.jobs[0]) == FREE ? &disk.jobs[0] : &disk.jobs[1];
    (void)context;
    if (phase_of(j) != FREE) return;     /* the read that follows will do it */
    j->offset = offset;
    j->to = to;
    j->n = n;
    j->number = disk.number++;
    __atomic_store_n(&j->phase, QUEUED, __ATOMIC_RELEASE);
    pthread_mutex_lock(&disk.lock);
    if (disk.asleep) pthread_cond_signal(&disk.wake);
    pthread_mutex_unlock(&disk.lock);
}

static bm_store_status device_read(void *context, uint64_t offset, void *to, uint32_t n)
{
    (void)context;
    if (disk.dead) return BM_STORE_TIMEOUT;
    for (int i = 0; i < 2; i++)
        if (phase_of(&disk.jobs[i]) != FREE && disk.jobs[i].to == to) return finish(&disk.jobs[i]);
    return read_all(offset, to, n);
}

static bm_store_status device_write(void *context, uint64_t offset, const void *from, uint32_t n)
{
    (void)context;
    for (uint32_t done = 0; done < n;) {
        const ssize_t put = pwrite(disk.fd, (const char *)from + done, n - done, (off_t)(offset + done));
        if (put < 0 && errno != EINTR) return reason(errno);
        if (put > 0) done += (uint32_t)put;
    }
    return BM_STORE_OK;
}

static bm_store_status device_sync(void *context)
{
    (void)context;
    return fdatasync(disk.fd) == 0 ? BM_STORE_OK : reason(errno);
}

static int start_thread(void)
{
    pthread_condattr_t monotonic;
    memset(disk.jobs, 0, sizeof disk.jobs);
    disk.stop = disk.dead = 0;
    pthread_mutex_init(&disk.lock, NULL);
    pthread_cond_init(&disk.wake, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&disk.done, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return pthread_create(&disk.thread, NULL, read_ahead, NULL) == 0;
}

/* A regular file or a block device that is ours alone if we write; space for every byte, so that no episode finds the disk full. */
static bm_store_status check_file(int writable, uint64_t *size)
{
    struct stat what;
    if (fstat(disk.fd, &what) != 0) return reason(errno);
    if (!S_ISREG(what.st_mode) && !S_ISBLK(what.st_mode)) return BM_STORE_FOREIGN;
    if (flock(disk.fd, (writable ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) return reason(errno);
    const off_t end = lseek(disk.fd, 0, SEEK_END);
    if (end < 0) return reason(errno);
    *size = (uint64_t)end;
    if (writable && S_ISREG(what.st_mode) && end > 0) {
        const int error = posix_fallocate(disk.fd, 0, end);
        if (error != 0 && error != EOPNOTSUPP && error != EINVAL) return reason(error);
    }
    return BM_STORE_OK;
}

bm_store_status linux_store_open(bm_store_device *device, const char *path, int writable)
{
    const bm_store_device opened = {device_read, writable ? device_write : NULL, device_sync, NULL, NULL, 0};
    *device = opened;
    disk.fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);   /* not waiting for the other end of a pipe */
    if (disk.fd < 0) return reason(errno);
    const bm_store_status status = check_file(writable, &device->size);
    if (status != BM_STORE_OK) {
        linux_store_close();
        return status;
    }
    (void)posix_fadvise(disk.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    disk.running = start_thread();
    if (disk.running) device->prefetch = device_prefetch;
    return BM_STORE_OK;
}

void linux_store_close(void)
{
    if (disk.running && !disk.dead) {
        pthread_mutex_lock(&disk.lock);
        __atomic_store_n(&disk.stop, 1, __ATOMIC_RELEASE);
        pthread_cond_signal(&disk.wake);
        pthread_mutex_unlock(&disk.lock);
        pthread_join(disk.thread, NULL);
    }
    if (disk.fd >= 0) close(disk.fd);
    disk.running = 0;
    disk.fd = -1;
}
