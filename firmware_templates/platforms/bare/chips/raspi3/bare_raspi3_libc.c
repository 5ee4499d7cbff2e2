/* SPDX-License-Identifier: MIT-0 */
/* The functions of the C library that compilers take for granted, for a machine without one. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *p = to;
    const uint8_t *q = from;
    for (; n >= 8u; n -= 8u, p += 8, q += 8)
        *(uint64_t __attribute__((aligned(1), may_alias)) *)p = *(
            const uint64_t __attribute__((aligned(1), may_alias)) *)q;
    for (size_t i = 0; i < n; i++) p[i] = q[i];
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *p = to;
    const uint8_t *q = from;
    if ((uintptr_t)p <= (uintptr_t)q) return memcpy(to, from, n);   /* it copies upwards */
    while (n--) p[n] = q[n];
    return to;
}

void *memset(void *to, int c, size_t n)
{
    uint8_t *p = to;
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)c;
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;
    for (size_t i = 0; i < n; i++)
        if (p[i] != q[i]) return p[i] < q[i] ? -1 : 1;
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n]) n++;
    return n;
}
