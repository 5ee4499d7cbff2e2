/* SPDX-License-Identifier: MIT-0 */
/* Requests about updates over the link (bm_serve.h). */
#include "bm_serve_internal.h"
#include "bm_update.h"

#include <string.h>

static void status(bm_server *v)
{
    static const char layout[17] = BM_BLOB_LAYOUT;
    const bm_update *u = v->update;
    uint8_t fields[BM_BYTES_UPDATES], *p = fields + 48;
    memcpy(fields, u->build, 32);
    memcpy(fields + 32, layout, 16);
    p = bm_put_u32(bm_put_u32(p, BM_BLOB_BYTES), u->device.write ? u->device.slot_bytes : 0u);
    *p++ = (uint8_t)u->running;
    for (uint32_t i = 0; i < 2; i++) {
        const bm_slot *s = &u->slot[i];
        *p++ = s->state;
        *p++ = s->tries;
        p = bm_put_u32(p, s->received);
        memcpy(p, s->head + BM_UPDATE_MODEL_AT, 32);
        p += 32;
    }
    bm_serve_head(v, BM_MESSAGE_UPDATES, sizeof fields);
    bm_link_write(&v->link, fields, sizeof fields);
    bm_serve_result(v, BM_OK, 0);
}

int bm_serve_update(bm_server *v, uint8_t message)
{
    static uint8_t data[8u + BM_UPDATE_UNIT];
    uint32_t value = 0;
    int32_t result;
    if (message < BM_MESSAGE_UPDATE_STATUS || message > BM_MESSAGE_UPDATE_ACTIVATE) return 0;
    if (v->left > sizeof data) {
        bm_serve_result(v, BM_RESULT_MALFORMED, 0);
        return 1;
    }
    const uint32_t bytes = v->left;
    if (bytes && bm_serve_take(v, data, bytes) != 0) return 1; /* the session ended */
    switch (message) {
    case BM_MESSAGE_UPDATE_STATUS: status(v); return 1;
    case BM_MESSAGE_UPDATE_BEGIN: result = bm_update_begin(v->update, data, bytes, &value); break;
    case BM_MESSAGE_UPDATE_BLOCK:
        result = bytes < 8u ? BM_RESULT_MALFORMED
                            : bm_update_block(v->update, bm_get_u32(data), bm_get_u32(data + 4), data + 8,
                                  bytes - 8u, &value);
        break;
    case BM_MESSAGE_UPDATE_FINISH: result = bm_update_finish(v->update, &value); break;
    default: result = bm_update_activate(v->update, &value);
    }
    bm_serve_result(v, result, value);
    return 1;
}
