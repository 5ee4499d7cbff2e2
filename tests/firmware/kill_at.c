/* SPDX-License-Identifier: Apache-2.0 */
/* Linked with -Wl,--wrap=pwrite64,--wrap=fdatasync, a program is killed (SIGKILL) at the write or sync number KILL_AT, counted from 0,
 * of which half a write reaches the file.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

ssize_t __real_pwrite64(int file, const void *from, size_t n, off_t offset);
int __real_fdatasync(int file);
ssize_t __wrap_pwrite64(int file, const void *from, size_t n, off_t offset);
int __wrap_fdatasync(int file);

static int is_time(void)
{
    static int calls;
    const char *at = getenv("KILL_AT");
    return at && calls++ == atoi(at);
}

ssize_t __wrap_pwrite64(int file, const void *from, size_t n, off_t offset)
{
    if (!is_time()) return __real_pwrite64(file, from, n, offset);
    const ssize_t half = __real_pwrite64(file, from, n / 2u, offset);
    kill(getpid(), SIGKILL);
    return half;
}

int __wrap_fdatasync(int file)
{
    if (is_time()) kill(getpid(), SIGKILL);
    return __real_fdatasync(file);
}
