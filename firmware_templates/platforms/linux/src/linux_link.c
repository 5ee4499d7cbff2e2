/* SPDX-License-Identifier: MIT-0 */
#define _DEFAULT_SOURCE
#include "linux_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "bm_serve.h"
#include "linux_output.h"
#if BM_UPDATES
#include "linux_update.h"
#endif

#define STUCK_MS 2000            /* a reader that takes nothing for so long loses what is written */
#define PAINTED 65536u           /* bytes of stack that are watched */
#define PAINT 0xA5u
#define COUNTS \
    32768u /* values of logits: all that an int8 x ternary product of up to 129 terms has, most of any */

typedef struct {
    int in, out;
    uint32_t baud;
    uint64_t started; /* nanoseconds */
    uint8_t *floor; /* lowest watched byte of the stack; its top is PAINTED higher */
} line;

static const struct {
    uint32_t baud;
    speed_t code;
} speeds[] = {
    {9600, B9600},
    {19200, B19200},
    {38400, B38400},
    {57600, B57600},
    {115200, B115200},
    {230400, B230400},
    {460800, B460800},
    {500000, B500000},
    {921600, B921600},
    {1000000, B1000000},
    {2000000, B2000000},
    {3000000, B3000000},
};

static size_t line_read(void *user, void *into, size_t room)
{
    const line *l = user;
    const ssize_t got = read(l->in, into, room);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) exit(0); /* hung up */
    return got > 0 ? (size_t)got : 0u;
}

static void line_write(void *user, const void *from, size_t bytes)
{
    const line *l = user;
    const uint8_t *p = from;
    while (bytes) {
        const ssize_t put = write(l->out, p, bytes);
        struct pollfd writable = {l->out, POLLOUT, 0};
        if (put > 0) {
            p += put;
            bytes -= (size_t)put;
        } else if (put < 0 && errno != EAGAIN && errno != EINTR) {
            exit(errno == EPIPE || errno == EIO ? 0 : linux_lost(errno)); /* hung up, or a full disk */
        } else if (poll(&writable, 1, STUCK_MS) == 0) {
            return;
        }
    }
}

static uint64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A counter that costs next to nothing to read: profiling looks at it a hundred times in a token. */
static uint64_t line_cycles(void *user)
{
    (void)user;
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t t;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t));
    return t;
#else
    return nanoseconds();
#endif
}

static uint32_t cycles_hz(void)
{
#if defined(__x86_64__)
    const uint64_t since = nanoseconds(), first = line_cycles(NULL);
    while (nanoseconds() - since < 20000000u) continue;
    return (uint32_t)((double)(line_cycles(NULL) - first) * 1e9 / (double)(nanoseconds() - since));
#elif defined(__aarch64__)
    uint64_t hz;
    __asm__("mrs %0, cntfrq_el0" : "=r"(hz));
    return (uint32_t)hz;
#else
    return 1000000000u;
#endif
}

static uint32_t line_millis(void *user)
{
    const line *l = user;
    return (uint32_t)((nanoseconds() - l->started) / 1000000u);
}

static void line_idle(void *user, uint32_t ms)
{
    const line *l = user;
    struct pollfd readable = {l->in, POLLIN, 0};
    poll(&readable, 1, (int)ms);
}

static int line_set_baud(void *user, uint32_t baud)
{
    line *l = user;
    struct termios t;
    if (!isatty(l->in) || tcgetattr(l->in, &t) != 0) return -1;
    for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++)
        if (speeds[i].baud == (baud ? baud : l->baud)) {
            cfsetispeed(&t, speeds[i].code);
            cfsetospeed(&t, speeds[i].code);
            return tcsetattr(l->in, TCSADRAIN, &t);
        }
    return -1;
}

/* Colour the stack below here; what is no longer coloured later was used. */
static __attribute__((noinline)) uint8_t *paint(void)
{
    uint8_t *top = (uint8_t *)__builtin_frame_address(0) - 512;
    volatile uint8_t *p = top - PAINTED;
    for (size_t i = 0; i < PAINTED; i++) p[i] = PAINT;
    return top - PAINTED;
}

static size_t line_stack_peak(void *user)
{
    const line *l = user;
    const volatile uint8_t *p = l->floor;
    size_t clean = 0;
    while (clean < PAINTED && p[clean] == PAINT) clean++;
    return PAINTED - clean;
}

static int open_line(line *l, const char *path)
{
    struct termios t;
    l->in = l->out = path ? open(path, O_RDWR | O_NOCTTY) : STDIN_FILENO;
    if (!path) l->out = STDOUT_FILENO;
    if (l->in < 0) return -1;
    if (isatty(l->in)) {
        if (tcgetattr(l->in, &t) != 0) return -1;
        cfmakeraw(&t);
        t.c_cflag |= CLOCAL | CREAD;
        if (tcsetattr(l->in, TCSANOW, &t) != 0 || (path && line_set_baud(l, l->baud) != 0)) return -1;
    } else if (path) {
        errno = ENOTTY;
        return -1;
    }
    return fcntl(l->in, F_SETFL, O_NONBLOCK) | fcntl(l->out, F_SETFL, O_NONBLOCK);
}

#if BM_UPDATES
/* Start anew in the place of this program, with the model that is on trial. The line stays open, so that the host sees no hang-up. */
static void line_reset(void *user)
{
    (void)user;
    execv("/proc/self/exe", linux_arguments);
    exit(linux_fail("restart", strerror(errno)));
}
#else
#define line_reset NULL
#endif

int linux_link(bm_state *s, uint8_t *arena, const char *why, const char *path, uint32_t baud)
{
    static bm_server server;
    static uint32_t counts[COUNTS];
    static bm_kept kept;
    static uint8_t text[BM_ASCII_INPUT];
    line l = {.baud = baud, .started = nanoseconds()};
    if (open_line(&l, path) != 0) return -1;
    const struct bm_port port = {&l, line_read, line_write, line_cycles, line_millis, line_reset, cycles_hz(),
        line_stack_peak, line_idle, isatty(l.in) ? line_set_baud : NULL, NULL};
    l.floor = paint();
    bm_serve_init(&server, s, why, &port, text);
    bm_serve_room(&server, counts, COUNTS, &kept, arena);
#if BM_UPDATES
    server.update = linux_updates();
#endif
    for (;;) bm_serve_once(&server);
}
