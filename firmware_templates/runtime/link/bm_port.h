/* SPDX-License-Identifier: MIT-0 */
/* What a board gives the link: a line of bytes, and clocks. */
#ifndef BM_PORT_H
#define BM_PORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* No function waits longer than it must. A NULL function is one that the board does not have. */
struct bm_port {
    void *user;
    size_t (*read)(
        void *user, void *into, size_t room); /* bytes that have arrived, at most room; 0 at once if none */
    void (*write)(
        void *user, const void *from, size_t bytes); /* all of them; blocks until the device took them */
    uint64_t (*cycles)(void *user); /* a clock that counts up: CPU cycles, or ticks of cycles_hz */
    uint32_t (*millis)(void *user);
    void (*reset)(void *user); /* does not return; may be NULL */
    uint32_t cycles_hz;
    size_t (*stack_peak)(void *user); /* bytes of stack used at most so far (painted stack); may be NULL */
    void (*idle)(void *user, uint32_t ms); /* until a byte arrives, at most so long; may be NULL */
    int (*set_baud)(
        void *user, uint32_t baud); /* once all is sent; returns 0, or -1 if it cannot; may be NULL */
    uint32_t (*lost)(void *user); /* bytes that arrived and found no room, so far; may be NULL */
};

#ifdef __cplusplus
}
#endif
#endif
