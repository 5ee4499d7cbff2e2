/* SPDX-License-Identifier: MIT-0 */
/* The memory over the link: its rows as they are, rows from the host, and a tier that counts what the model reads and writes. */
#include "bm_serve_internal.h"

#define PLANE(v) ((v)->s->memory.width)
#define ROW_BYTES(v) (2u * PLANE(v) + 8u)

/* -- the tier that counts --------------------------------------------------------------------- */

static uint64_t clock_of(const bm_server *v) { return v->port->cycles(v->port->user); }

/* What a call moves: bytes of the device, or else of the rows that it is for. */
static bm_traffic before_call(const bm_server *v)
{
    const bm_traffic none = {0, 0};
    return v->rows.traffic ? *v->rows.traffic : none;
}

static void after_call(bm_server *v, bm_traffic before, uint64_t rows_read, uint64_t rows_written)
{
    const bm_traffic *now = v->rows.traffic;
    v->read_bytes += now ? now->read - before.read : rows_read;
    v->written_bytes += now ? now->written - before.written : rows_written;
}

static bm_status count_get(void *context, uint32_t block, int how, bm_block_rows *rows)
{
    bm_server *v = context;
    const bm_traffic before = before_call(v);
    const uint64_t since = clock_of(v);
    const bm_status status = v->rows.get(v->rows.context, block, how, rows);
    v->read_cycles += clock_of(v) - since;
    v->reads++;
    after_call(v, before,
        status == BM_OK ? (uint64_t)rows->n * (how == BM_TIER_READ ? PLANE(v) + 4u : ROW_BYTES(v)) : 0u, 0);
    return status;
}

static bm_status count_put(void *context, uint32_t block, int rows_changed)
{
    bm_server *v = context;
    const bm_traffic before = before_call(v);
    const uint32_t first = block * BM_READ_BLOCK,
                   n = BM_SLOTS - first < BM_READ_BLOCK ? BM_SLOTS - first : BM_READ_BLOCK;
    const uint64_t since = clock_of(v);
    const bm_status status = v->rows.put(v->rows.context, block, rows_changed);
    v->write_cycles += clock_of(v) - since;
    v->writes++;
    after_call(v, before, 0, (uint64_t)n * (rows_changed ? ROW_BYTES(v) : 8u));
    return status;
}

static bm_status count_begin(void *context)
{
    bm_server *v = context;
    const bm_traffic before = before_call(v);
    const bm_status status = v->rows.begin(v->rows.context);
    after_call(v, before, 0, 0);
    return status;
}

static bm_status count_commit(void *context)
{
    bm_server *v = context;
    const bm_traffic before = before_call(v);
    const uint64_t since = clock_of(v);
    const bm_status status = v->rows.commit(v->rows.context);
    v->write_cycles += clock_of(v) - since;
    after_call(v, before, 0, 0);
    return status;
}

void bm_serve_count(bm_server *v)
{
    const bm_tier counting = {count_get, count_put, v->s->memory.rows.begin ? count_begin : NULL,
        v->s->memory.rows.commit ? count_commit : NULL, v, NULL};
    v->rows = v->s->memory.rows;
    if (v->rows.get) v->s->memory.rows = counting;
}

/* -- rows --------------------------------------------------------------------------------------- */

static uint32_t blocks(const bm_server *v)
{ return (v->s->memory.slots + BM_READ_BLOCK - 1u) / BM_READ_BLOCK; }

static void send_rows(bm_server *v, uint32_t block, const bm_block_rows *r)
{
    uint8_t fields[BM_BYTES_ROWS];
    const uint32_t stride = BM_PAD(PLANE(v));
    bm_put_u32(bm_put_u32(fields, block), r->n);
    bm_serve_head(v, BM_MESSAGE_ROWS, (uint32_t)sizeof fields + r->n * ROW_BYTES(v));
    bm_link_write(&v->link, fields, sizeof fields);
    for (uint32_t i = 0; i < r->n; i++) bm_link_write(&v->link, r->high + i * stride, PLANE(v));
    for (uint32_t i = 0; i < r->n; i++) bm_link_write(&v->link, r->low + i * stride, PLANE(v));
    bm_link_write(&v->link, r->scales, r->n * sizeof *r->scales);
    bm_link_write(&v->link, r->usage, r->n * sizeof *r->usage);
}

/* A block is whole only while it can be changed: as in an episode that changes nothing and is given up. */
void bm_serve_memory_read(bm_server *v)
{
    const bm_tier *tier = &v->rows;
    bm_status status = tier->get ? BM_OK : BM_ERR_MEMORY;
    if (status == BM_OK && tier->begin) status = tier->begin(tier->context);
    uint32_t block = 0;
    for (; status == BM_OK && block < blocks(v) && !v->link.broken; block++) {
        bm_block_rows rows;
        status = tier->get(tier->context, block, tier->begin ? BM_TIER_CHANGE : BM_TIER_READ, &rows);
        if (status == BM_OK) send_rows(v, block, &rows);
    }
    bm_serve_result(v, status, block);
}

static int take_rows(bm_server *v, bm_block_rows *r)
{
    const uint32_t stride = BM_PAD(PLANE(v));
    int bad = 0;
    for (uint32_t i = 0; i < r->n && !bad; i++) bad = bm_serve_take(v, r->high + i * stride, PLANE(v));
    for (uint32_t i = 0; i < r->n && !bad; i++) bad = bm_serve_take(v, r->low + i * stride, PLANE(v));
    if (!bad) bad = bm_serve_take(v, r->scales, (uint32_t)(r->n * sizeof *r->scales));
    if (!bad) bad = bm_serve_take(v, r->usage, (uint32_t)(r->n * sizeof *r->usage));
    return bad;
}

/* Blocks come in order, from any session: what a lost one had sent goes on in the next. */
void bm_serve_memory_write(bm_server *v)
{
    const bm_tier *tier = &v->rows;
    uint8_t fields[BM_BYTES_MEMORY_WRITE];
    bm_block_rows rows;
    if (!tier->get || !tier->begin) {
        bm_serve_result(v, BM_RESULT_UNABLE, 0);
        return;
    }
    if (bm_serve_take(v, fields, sizeof fields) != 0) {
        bm_serve_result(v, BM_RESULT_MALFORMED, v->next_block);
        return;
    }
    const uint32_t block = bm_get_u32(fields);
    if (v->left == 0 || (block != 0 && block != v->next_block)) {
        bm_serve_result(v, v->left ? BM_RESULT_MALFORMED : BM_OK,
            v->next_block); /* empty: the host asks where to go on */
        return;
    }
    bm_status status = block == 0 ? tier->begin(tier->context) : BM_OK;
    v->next_block = block;
    if (status == BM_OK) status = tier->get(tier->context, block, BM_TIER_CHANGE, &rows);
    if (status == BM_OK && v->left != rows.n * ROW_BYTES(v)) {
        bm_serve_result(v, BM_RESULT_MALFORMED, v->next_block);
        return;
    }
    if (status == BM_OK && take_rows(v, &rows) != 0) return; /* the session ended: this block again */
    if (status == BM_OK) status = tier->put(tier->context, block, 1);
    if (status == BM_OK && block + 1u == blocks(v)) status = tier->commit(tier->context);
    if (status == BM_OK) v->next_block = block + 1u < blocks(v) ? block + 1u : 0;
    bm_serve_result(v, status, v->next_block);
}
