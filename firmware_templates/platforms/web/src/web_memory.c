/* SPDX-License-Identifier: MIT-0 */
/* Room that grows at the end of the module's memory. */
#include <string.h>

#include "web.h"

#define PAGE 65536u
#define LEAST 4096u

extern uint8_t __heap_base; /* behind all that the linker placed */

void *web_new(uint32_t bytes)
{
    static uintptr_t next;
    if (!next) next = ((uintptr_t)&__heap_base + 63u) & ~(uintptr_t)63u;
    const uintptr_t at = next, have = __builtin_wasm_memory_size(0) * PAGE;
    if (bytes > UINT32_MAX - PAGE - at) return NULL;
    const uintptr_t end = at + ((bytes + 63u) & ~63u);
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + PAGE - 1u) / PAGE) == (size_t)-1)
        return NULL;
    next = end;
    return (void *)at;
}

static int grow(web_buffer *b, uint32_t n)
{
    uint32_t room = b->room ? b->room : LEAST;
    while (room - b->end < n) {
        if (room > UINT32_MAX / 2u) return -1;
        room *= 2u;
    }
    uint8_t *bytes = web_new(room);
    if (!bytes) return -1;
    if (b->end) memcpy(bytes, b->bytes, b->end);
    b->bytes = bytes;
    b->room = room;
    return 0;
}

int web_put(web_buffer *b, const void *from, uint32_t n)
{
    if (b->room - b->end < n && b->first) {
        memmove(b->bytes, b->bytes + b->first, b->end - b->first);
        b->end -= b->first;
        b->first = 0;
    }
    if (b->room - b->end < n && grow(b, n) != 0) return -1;
    memcpy(b->bytes + b->end, from, n);
    b->end += n;
    return 0;
}
