/* SPDX-License-Identifier: Apache-2.0 */
/* The memory store on a device in RAM that loses power, fails, and flips bits; and on a file. See driver.h.
 *
 * Writes are seen at once but last only after a sync: a power cut lets any part of the others reach the medium, in any
 * order, each torn at any byte. The buffer of an announced read is filled with nonsense until that very read is made.
 */
#include "bm_memory.h"
#include "bm_store.h"
#include "driver.h"
#include "linux_store.h"

#define LOG 512
#define ALIGNED __attribute__((aligned(64)))

static uint8_t buffers[BM_STORE_BUFFERS(512u)] ALIGNED, more_buffers[BM_STORE_BUFFERS(512u)] ALIGNED;

static void need(int good, const char *what)
{
    if (good) return;
    fprintf(stderr, "%s\n", what);
    exit(4);
}

static uint64_t rng_state;

static uint32_t any(uint32_t n)      /* xorshift64*, below n */
{
    rng_state ^= rng_state >> 12;
    rng_state ^= rng_state << 25;
    rng_state ^= rng_state >> 27;
    return (uint32_t)((rng_state * 2685821657736338717u) >> 33) % n;
}

/* -- the device ------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *seen, *durable;
    uint64_t size;
    struct {
        uint64_t offset;
        uint8_t *data;
        uint32_t n;
    } log[LOG]; /* since the last sync */
    uint32_t logged, operations, cut_at, fail_at;   /* writes and syncs, from 1; 0: never */
    int off;
    struct {
        uint64_t offset;
        void *to;
        uint32_t n;
    } announced[2];
} ram_device;

static void remember(ram_device *d, uint64_t offset, const void *from, uint32_t n)
{
    need(d->logged < LOG, "more writes than the log holds");
    d->log[d->logged].offset = offset;
    d->log[d->logged].n = n;
    d->log[d->logged].data = malloc(n);
    need(d->log[d->logged].data != NULL, "no room");
    memcpy(d->log[d->logged++].data, from, n);
    memcpy(d->seen + offset, from, n);
}

static void drop_log(ram_device *d)
{
    while (d->logged) free(d->log[--d->logged].data);
}

static bm_store_status ram_read(void *context, uint64_t offset, void *to, uint32_t n)
{
    ram_device *d = context;
    for (int i = 0; i < 2; i++) {
        if (d->announced[i].to != to) continue;
        need(d->announced[i].offset == offset && d->announced[i].n == n,
            "another read into the buffer of an announced one");
        d->announced[i].to = NULL;
    }
    need(offset + n <= d->size, "a read beyond the device");
    if (d->off) return BM_STORE_IO;
    memcpy(to, d->seen + offset, n);
    return BM_STORE_OK;
}

static void ram_prefetch(void *context, uint64_t offset, void *to, uint32_t n)
{
    ram_device *d = context;
    const int i = d->announced[0].to ? 1 : 0;
    need(!d->announced[i].to && d->announced[0].to != to, "three reads announced, or two into one buffer");
    d->announced[i].offset = offset;
    d->announced[i].to = to;
    d->announced[i].n = n;
    memset(to, 0xA5, n);
}

static bm_store_status ram_write(void *context, uint64_t offset, const void *from, uint32_t n)
{
    ram_device *d = context;
    need(offset % BM_STORE_UNIT == 0 && n % BM_STORE_UNIT == 0 && offset + n <= d->size,
        "a write that is not whole units");
    if (d->off) return BM_STORE_IO;
    d->operations++;
    if (d->operations == d->fail_at) {
        if (any(2)) remember(d, offset, from, 1u + any(n));
        return BM_STORE_IO;
    }
    remember(d, offset, from, n);
    if (d->operations == d->cut_at) d->off = 1;
    return d->off ? BM_STORE_IO : BM_STORE_OK;
}

static bm_store_status ram_sync(void *context)
{
    ram_device *d = context;
    if (d->off) return BM_STORE_IO;
    d->operations++;
    if (d->operations == d->fail_at) return BM_STORE_IO;
    if (d->operations == d->cut_at) d->off = 1;
    if (d->off) return BM_STORE_IO;
    for (uint32_t i = 0; i < d->logged; i++)
        memcpy(d->durable + d->log[i].offset, d->log[i].data, d->log[i].n);
    drop_log(d);
    return BM_STORE_OK;
}

/* What was not synced: lost, whole, or torn, with nonsense in the sector where it tore; in any order. */
static void power_cut(ram_device *d)
{
    for (uint32_t left = d->logged; left; left--) {
        const uint32_t i = any(left), fate = any(3);
        uint32_t n = fate == 0 ? 0 : fate == 1 ? d->log[i].n : any(d->log[i].n);
        memcpy(d->durable + d->log[i].offset, d->log[i].data, n);
        if (fate == 2 && any(2))
            for (; n < d->log[i].n && n % 512u; n++) d->durable[d->log[i].offset + n] = (uint8_t)any(256);
        free(d->log[i].data);
        d->log[i] = d->log[left - 1u];
    }
    d->logged = 0;
    d->off = 0;
    d->operations = d->cut_at = d->fail_at = 0;
    d->announced[0].to = d->announced[1].to = NULL;
    memcpy(d->seen, d->durable, d->size);
}

static ram_device *device_of(const uint8_t *image, uint64_t size)
{
    ram_device *d = calloc(1, sizeof *d);
    need(d != NULL, "no room");
    d->seen = malloc(size);
    d->durable = malloc(size);
    d->size = size;
    need(d->seen && d->durable, "no room");
    memcpy(d->seen, image, size);
    memcpy(d->durable, image, size);
    return d;
}

static void free_device(ram_device *d)
{
    drop_log(d);
    free(d->seen);
    free(d->durable);
    free(d);
}

static bm_store_status open_on(
    bm_store *s, ram_device *d, uint32_t slots, uint32_t width, const uint8_t *digest, uint8_t *work)
{
    const bm_store_device device = {ram_read, ram_write, ram_sync, ram_prefetch, d, d->size};
    return bm_store_open(s, &device, slots, width, digest, work);
}

/* -- what the memory should be ---------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t slots, width, blocks;
    int8_t *high, *low;
    float *scales;
    uint32_t *usage;
    uint8_t
        *how; /* of each block, in the episode that leads here: 0 left alone, 1 state changed, 2 rows, too */
} memory;

static memory new_memory(uint32_t slots, uint32_t width)
{
    memory m = {.slots = slots, .width = width, .blocks = (slots + 63u) / 64u};
    const size_t n = (size_t)m.blocks * BM_STORE_PLANE(width);
    m.high = calloc(n, 1);
    m.low = calloc(n, 1);
    m.scales = calloc(64u * m.blocks, 4);
    m.usage = calloc(64u * m.blocks, 4);
    m.how = calloc(m.blocks, 1);
    need(m.high && m.low && m.scales && m.usage && m.how, "no room");
    return m;
}

static void copy_memory(memory *to, const memory *from)
{
    const size_t n = (size_t)from->blocks * BM_STORE_PLANE(from->width);
    memcpy(to->high, from->high, n);
    memcpy(to->low, from->low, n);
    memcpy(to->scales, from->scales, 256u * from->blocks);
    memcpy(to->usage, from->usage, 256u * from->blocks);
}

static void free_memory(memory *m)
{
    free(m->high);
    free(m->low);
    free(m->scales);
    free(m->usage);
    free(m->how);
}

/* A random episode after `old`: few or many blocks change. */
static void imagine(const memory *old, memory *next)
{
    const uint32_t pad = BM_PAD(old->width), often = any(2) ? 9u : 1u;
    copy_memory(next, old);
    for (uint32_t b = 0; b < old->blocks; b++) {
        next->how[b] = (uint8_t)(any(10) < often ? 2u : any(4) ? 1u : 0u);
        for (uint32_t i = 64u * b; next->how[b] && i < old->slots && i < 64u * b + 64u; i++) {
            const uint32_t bits = any(1u << 30);
            memcpy(&next->scales[i], &bits, 4);
            next->usage[i] = any(1u << 31);
            for (uint32_t k = 0; next->how[b] == 2 && any(3) == 0 && k < old->width; k++) {
                next->high[i * pad + k] = (int8_t)any(256);
                next->low[i * pad + k] = (int8_t)any(256);
            }
        }
    }
}

/* Whether a block of the store is that of `m`; low and usage are only there to be changed. */
static int same(const memory *m, uint32_t block, const bm_block_rows *rows)
{
    const size_t at = (size_t)block * BM_STORE_PLANE(m->width), n = (size_t)rows->n * BM_PAD(m->width);
    const uint32_t left = m->slots - 64u * block;
    return rows->n == (left < 64u ? left : 64u) && memcmp(rows->high, m->high + at, n) == 0 &&
           memcmp(rows->scales, m->scales + 64u * block, 4u * rows->n) == 0 &&
           (!rows->low || (memcmp(rows->low, m->low + at, n) == 0 &&
                              memcmp(rows->usage, m->usage + 64u * block, 4u * rows->n) == 0));
}

/* The memory as a model reads it is `m`: 1, something else: 0, an error: -1. */
static int reads_as(bm_store *s, const memory *m)
{
    const bm_tier tier = bm_store_tier(s);
    bm_block_rows rows;
    for (uint32_t b = 0; b < m->blocks; b++) {
        if (tier.get(tier.context, b, BM_TIER_READ, &rows) != BM_OK) return -1;
        if (!same(m, b, &rows)) return 0;
    }
    return 1;
}

/* All of it, seen by the start of an episode, on a copy of the medium. */
static int holds(const ram_device *d, const memory *m, const uint8_t *digest)
{
    ram_device *copy = device_of(d->seen, d->size);
    bm_store s;
    bm_block_rows rows;
    int good = open_on(&s, copy, m->slots, m->width, digest, more_buffers) == BM_STORE_OK;
    const bm_tier tier = bm_store_tier(&s);
    good = good && tier.begin(tier.context) == BM_OK;
    for (uint32_t b = 0; good && b < m->blocks; b++)
        good = tier.get(tier.context, b, BM_TIER_CHANGE, &rows) == BM_OK && same(m, b, &rows);
    free_device(copy);
    return good;
}

static bm_status write_episode(bm_store *s, const memory *next)
{
    const bm_tier tier = bm_store_tier(s);
    const size_t plane = BM_STORE_PLANE(next->width);
    bm_block_rows rows;
    bm_status status = tier.begin(tier.context);
    for (uint32_t b = 0; status == BM_OK && b < next->blocks; b++) {
        if (!next->how[b]) continue;
        status = tier.get(tier.context, b, BM_TIER_CHANGE, &rows);
        if (status != BM_OK) break;
        if (next->how[b] == 2) {
            memcpy(rows.high, next->high + b * plane, rows.n * BM_PAD(next->width));
            memcpy(rows.low, next->low + b * plane, rows.n * BM_PAD(next->width));
        }
        memcpy(rows.scales, next->scales + 64u * b, 4u * rows.n);
        memcpy(rows.usage, next->usage + 64u * b, 4u * rows.n);
        status = tier.put(tier.context, b, next->how[b] == 2);
    }
    return status == BM_OK ? tier.commit(tier.context) : status;
}

/* -- calls ------------------------------------------------------------------------------------------------------------ */

static memory given_memory(const call *c, int first)
{
    memory m = new_memory(c->u[0], c->u[1]);
    memcpy(m.high, c->a[first], c->bytes[first]);
    memcpy(m.low, c->a[first + 1], c->bytes[first + 1]);
    memcpy(m.scales, c->a[first + 2], c->bytes[first + 2]);
    memcpy(m.usage, c->a[first + 3], c->bytes[first + 3]);
    return m;
}

static int complain(const char *what, uint32_t episode, uint32_t at)
{
    fprintf(
        stderr, "episode %u, cut or failure at operation %u: %s\n", (unsigned)episode, (unsigned)at, what);
    return 1;
}

static void ignore(void *context, bm_store_piece piece)
{
    int *worse = context;
    if (piece.kind != BM_PIECE_RECORD) *worse = 1;
}

typedef struct {
    uint32_t slots, width;
    const uint8_t *digest;
    memory old, next, later;
} scene;

/* Power is cut at an operation of an episode. Then the memory is the old one or the new one, nothing but a copy of the
 * record is damaged, and the next episode works. Returns whether it went wrong. */
static int cut_once(const scene *x, const ram_device *start, uint32_t at, uint32_t episode)
{
    ram_device *d = device_of(start->durable, start->size);
    bm_store s;
    int bad = 0, worse = 0;
    need(open_on(&s, d, x->slots, x->width, x->digest, buffers) == BM_STORE_OK, "the start does not open");
    d->cut_at = at;
    if (write_episode(&s, &x->next) == BM_OK) bad = complain("succeeded without power", episode, at);
    power_cut(d);
    if (open_on(&s, d, x->slots, x->width, x->digest, buffers) != BM_STORE_OK)
        bad = complain("does not open", episode, at);
    const memory *now = reads_as(&s, &x->next) == 1 ? &x->next : &x->old;
    if (!bad && (reads_as(&s, now) != 1 || !holds(d, now, x->digest)))
        bad = complain("neither old nor new", episode, at);
    bm_store_verify(&s, ignore, &worse);
    if (worse) bad = complain("something live is damaged", episode, at);
    if (write_episode(&s, &x->later) != BM_OK) bad = complain("the next episode fails", episode, at);
    power_cut(d);
    memory after = new_memory(x->slots, x->width);
    copy_memory(&after, now);
    for (uint32_t b = 0; b < after.blocks;
        b++) { /* `later` was imagined after `next`: what it leaves alone stays */
        const size_t plane = BM_STORE_PLANE(x->width);
        if (x->later.how[b] == 2) memcpy(after.high + b * plane, x->later.high + b * plane, plane);
        if (x->later.how[b] == 2) memcpy(after.low + b * plane, x->later.low + b * plane, plane);
        if (x->later.how[b]) memcpy(after.scales + 64u * b, x->later.scales + 64u * b, 256);
        if (x->later.how[b]) memcpy(after.usage + 64u * b, x->later.usage + 64u * b, 256);
    }
    if (!bad && !holds(d, &after, x->digest)) bad = complain("the next episode is lost", episode, at);
    free_memory(&after);
    free_device(d);
    return bad;
}

/* One operation fails, and the device works again. Then the memory is the old or the new one, to the same store and opened
 * again; a power cut in the next episode, at any operation, leaves that memory or the next. */
static int fail_once(const scene *x, const ram_device *start, uint32_t at, uint32_t episode)
{
    ram_device *d = device_of(start->durable, start->size);
    bm_store s;
    int bad = 0;
    need(open_on(&s, d, x->slots, x->width, x->digest, buffers) == BM_STORE_OK, "the start does not open");
    d->fail_at = at;
    if (write_episode(&s, &x->next) == BM_OK)
        bad = complain("succeeded though an operation failed", episode, at);
    const memory *now = reads_as(&s, &x->next) == 1 ? &x->next : &x->old;
    if (reads_as(&s, now) != 1 || !holds(d, now, x->digest))
        bad = complain("neither old nor new", episode, at);
    d->operations = 0;
    d->cut_at = 1u + any(20);
    const memory *aim = now == &x->next ? &x->later : &x->next;
    const bm_status status = write_episode(&s, aim);
    power_cut(d);
    if (open_on(&s, d, x->slots, x->width, x->digest, buffers) != BM_STORE_OK)
        return complain("does not open", episode, at);
    const int found = reads_as(&s, aim) == 1       ? 2
                      : reads_as(&s, now) == 1     ? 1
                      : reads_as(&s, &x->old) == 1 ? 0
                                                   : -1;
    if (found < 0 || !holds(d, found == 2 ? aim : found == 1 ? now : &x->old, x->digest))
        bad = complain("a mixture", episode, at);
    if (status == BM_OK && found != 2) bad = complain("a committed episode is lost", episode, at);
    free_device(d);
    return bad;
}

/* u: slots, width, episodes, seed, 1 for failures instead of cuts; a: image, digest, high, low, scales, usage.
 * result: how many went wrong, of how many. */
static void crash(call *c)
{
    scene x = {c->u[0], c->u[1], c->a[1], given_memory(c, 2), new_memory(c->u[0], c->u[1]),
        new_memory(c->u[0], c->u[1])};
    ram_device *d = device_of(c->a[0], c->bytes[0]);
    rng_state = 0x9E3779B97F4A7C15u * (c->u[3] + 1u);
    for (uint32_t episode = 0; episode < c->u[2] && c->result[0] < 5u; episode++) {
        bm_store s;
        imagine(&x.old, &x.next);
        imagine(&x.next, &x.later);
        ram_device *whole = device_of(d->durable, d->size);
        need(open_on(&s, whole, x.slots, x.width, x.digest, buffers) == BM_STORE_OK,
            "the image does not open");
        need(write_episode(&s, &x.next) == BM_OK && holds(whole, &x.next, x.digest) &&
                 reads_as(&s, &x.next) == 1,
            "an episode is lost");
        for (uint32_t at = 1; at <= whole->operations; at++, c->result[1]++)
            c->result[0] += (uint32_t)(c->u[4] ? fail_once(&x, d, at, episode)
                                               : cut_once(&x, d, at, episode));
        power_cut(whole);
        free_device(d);
        d = whole;
        copy_memory(&x.old, &x.next);
    }
    free_device(d);
    free_memory(&x.old);
    free_memory(&x.next);
    free_memory(&x.later);
}

typedef struct {
    uint32_t *pieces;
    uint32_t n, most;
} list;

static void add(void *context, bm_store_piece piece)
{
    list *l = context;
    if (l->n < l->most) l->pieces[l->n] = (uint32_t)piece.kind << 24 | piece.index;
    l->n++;
}

/* u: slots, width; a: image, digest, u32 [] pieces. result: status, number of pieces. */
static void verify(call *c)
{
    ram_device *d = device_of(c->a[0], c->bytes[0]);
    bm_store s;
    list l = {c->a[2], 0, c->bytes[2] / 4u};
    const bm_store_status status = open_on(&s, d, c->u[0], c->u[1], c->a[1], buffers);
    c->result[0] = (uint32_t)bm_store_verify(&s, add, &l);
    if (status != BM_STORE_OK && status != BM_STORE_DAMAGED) c->result[0] = (uint32_t)status;
    c->result[1] = l.n;
    free_device(d);
}

/* Every bit of the image, flipped alone. a: image, digest, high, low, scales, usage, u32 [bits]: 1 + the piece that was named
 * (1 << 29: more than one), 1 << 30 where reading gave an error, 1 << 31 where it gave wrong data. */
static void flips(call *c)
{
    memory m = given_memory(c, 2);
    ram_device *d = device_of(c->a[0], c->bytes[0]);
    uint32_t *out = c->a[6];
    for (uint64_t bit = 0; bit < 8u * (uint64_t)c->bytes[0]; bit++) {
        bm_store s;
        uint32_t named[2];
        list l = {named, 0, 2};
        d->seen[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
        const bm_store_status status = open_on(&s, d, c->u[0], c->u[1], c->a[1], buffers);
        const int read = status == BM_STORE_OK ? reads_as(&s, &m) : -1;
        bm_store_verify(&s, add, &l);
        out[bit] = (l.n ? 1u + named[0] : 0u) | (l.n > 1u ? 1u << 29 : 0u) | (read < 0 ? 1u << 30 : 0u) |
                   (read == 0 ? 1u << 31 : 0u);
        d->announced[0].to = d->announced[1].to = NULL;
        d->seen[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
    }
    free_device(d);
    free_memory(&m);
}

/* u: slots, width, 1 to stop after the beginning; a: image (comes back), digest, high, low, scales, usage, u8 [blocks] how.
 * result: status, bytes written. */
static void episode(call *c)
{
    memory m = given_memory(c, 2);
    ram_device *d = device_of(c->a[0], c->bytes[0]);
    bm_store s;
    memcpy(m.how, c->a[6], c->bytes[6]);
    c->result[0] = (uint32_t)open_on(&s, d, c->u[0], c->u[1], c->a[1], buffers);
    if (c->result[0] == BM_STORE_OK &&
        (c->u[2] ? bm_store_tier(&s).begin(&s) : write_episode(&s, &m)) != BM_OK)
        c->result[0] = (uint32_t)s.status;
    c->result[1] = (uint32_t)s.episode.bytes;
    memcpy(c->a[0], d->durable, d->size);
    free_device(d);
    free_memory(&m);
}

/* Blocks that are not changed one after the other, inside an episode, are refused and change nothing. u: slots (two blocks
 * or more), width; a: image, digest. result: how many were accepted; whether the memory of the image was still read. */
static void disorder(call *c)
{
    ram_device *d = device_of(c->a[0], c->bytes[0]);
    memory m = given_memory(c, 2);
    bm_store s;
    bm_block_rows rows;
    need(open_on(&s, d, c->u[0], c->u[1], c->a[1], buffers) == BM_STORE_OK, "the image does not open");
    const bm_tier t = bm_store_tier(&s);
    uint32_t accepted = t.put(&s, 0, 1) == BM_OK;
    accepted += t.get(&s, 0, BM_TIER_CHANGE, &rows) == BM_OK;
    accepted += t.commit(&s) == BM_OK;
    for (uint32_t again = 0; again < 2u; again++) {
        need(t.begin(&s) == BM_OK && t.get(&s, 1, BM_TIER_CHANGE, &rows) == BM_OK,
            "an episode does not begin");
        rows.scales[0] = -1.0f;
        rows.high[0] ^= 1;
        if (again) need(t.put(&s, 1, 1) == BM_OK, "a block is refused");
        accepted += again ? t.get(&s, 1, BM_TIER_CHANGE, &rows) == BM_OK : t.put(&s, 0, 1) == BM_OK;
        accepted += t.put(&s, 1, 1) == BM_OK;
        accepted += t.commit(&s) == BM_OK;
    }
    need(t.begin(&s) == BM_OK && t.get(&s, 0, BM_TIER_CHANGE, &rows) == BM_OK, "an episode does not begin");
    rows.scales[0] = -1.0f;
    c->result[0] = accepted;
    c->result[1] = reads_as(&s, &m) == 1 && t.commit(&s) != BM_OK && holds(d, &m, c->a[1]);
    free_device(d);
    free_memory(&m);
}

/* u: slots, width, writable; a: path, digest. result: status. */
static void file_open(call *c)
{
    bm_store_device device;
    bm_store s;
    c->result[0] = (uint32_t)linux_store_open(&device, c->a[0], (int)c->u[2]);
    if (c->result[0] == BM_STORE_OK)
        c->result[0] = (uint32_t)bm_store_open(&s, &device, c->u[0], c->u[1], c->a[1], buffers);
    linux_store_close();
}

/* u: slots, width, times, keyed; f: scale of q; a: path, digest, q codes, float [width] M_r. result: status. */
static void file_read(call *c)
{
    bm_store_device device;
    bm_store s;
    bm_memory m = {.slots = c->u[0], .width = c->u[1]};
    need(linux_store_open(&device, c->a[0], 0) == BM_STORE_OK, "the file does not open");
    need(bm_store_open(&s, &device, m.slots, m.width, c->a[1], buffers) == BM_STORE_OK,
        "the store does not open");
    m.rows = bm_store_tier(&s);
    need(m.rows.begin == NULL, "a read-only store takes episodes");
    for (uint32_t i = 0; i < c->u[2] && c->result[0] == 0; i++)
        c->result[0] = (uint32_t)(c->u[3] ? bm_memory_ask : bm_memory_read)(&m, c->a[2], c->f[0], c->a[3]);
    for (uint32_t b = m.slots - 1u; c->u[3] && c->result[0] == 0;
        b = b * 5u / 7u) { /* both kinds of get, mixed */
        bm_block_rows some, all;
        need(m.rows.get(m.rows.context, b / 64u, BM_TIER_READ_ALL, &all) == BM_OK, "a block cannot be read");
        const int8_t low = all.low[0], high = all.high[0];
        need(m.rows.get(m.rows.context, b / 64u, BM_TIER_READ, &some) == BM_OK && some.high[0] == high,
            "the high plane is another");
        need(m.rows.get(m.rows.context, b / 64u, BM_TIER_READ_ALL, &all) == BM_OK && all.low[0] == low,
            "the low plane is another");
        if (!b) break;
    }
    linux_store_close();
}

/* As `episode`, on a file. */
static void file_episode(call *c)
{
    memory m = given_memory(c, 2);
    bm_store_device device;
    bm_store s;
    memcpy(m.how, c->a[6], c->bytes[6]);
    need(linux_store_open(&device, c->a[0], 1) == BM_STORE_OK, "the file does not open");
    c->result[0] = (uint32_t)bm_store_open(&s, &device, c->u[0], c->u[1], c->a[1], buffers);
    if (c->result[0] == BM_STORE_OK && write_episode(&s, &m) != BM_OK) c->result[0] = (uint32_t)s.status;
    c->result[1] = reads_as(&s, &m) == 1;
    linux_store_close();
    free_memory(&m);
}

/* u: status. a: char [200]. */
static void text(call *c) { strncpy(c->a[0], bm_store_text((bm_store_status)c->u[0]), c->bytes[0] - 1u); }

static const entry functions[] = {
    {"crash", crash},
    {"verify", verify},
    {"flips", flips},
    {"episode", episode},
    {"disorder", disorder},
    {"file_open", file_open},
    {"file_read", file_read},
    {"file_episode", file_episode},
    {"text", text},
};

int main(void) { return driver_serve(functions, sizeof functions / sizeof *functions); }
