/* SPDX-License-Identifier: Apache-2.0 */
/* A model checker for the store: on a small one, everything that a device may do, not a sample of it. See driver.h.
 *
 * Between two syncs every write is lost, whole or torn, each in every combination; a cut may follow a cut; a sync may fail and
 * drop what it was given from the cache, as Linux does, though it was seen; a read may fail. It knows nothing of the format:
 * whatever happens, the memory has to be one that an episode left.
 */
#include "bm_store.h"
#include "driver.h"

#define WINDOW 24u
#define BLOCKS 8u
#define WIDTH_MOST 128u
#define FATES_MOST 5u
#define FULL_TURN 40u /* more operations than any episode of BLOCKS blocks has */

static uint8_t buffers[BM_STORE_BUFFERS(WIDTH_MOST)] __attribute__((aligned(64)));
static uint8_t copy_buffers[BM_STORE_BUFFERS(WIDTH_MOST)] __attribute__((aligned(64)));
static uint32_t slots, width, fates;
static const uint8_t *digest;
static uint64_t image_size;
static uint32_t checked, wrong;

/* Which episode wrote the codes of every block, and its scales and usage. Episode e fills rows with the byte e. */
typedef struct {
    uint8_t codes[BLOCKS], all;
} memory;

static uint32_t blocks(void) { return (slots + BM_READ_BLOCK - 1u) / BM_READ_BLOCK; }

static int changes(uint32_t episode, uint32_t block) { return blocks() == 1u || (block + episode) % 2u == 0; }

static memory after(const memory *m, uint8_t episode)
{
    memory next = *m;
    next.all = episode;
    for (uint32_t b = 0; b < blocks(); b++)
        if (changes(episode, b)) next.codes[b] = episode;
    return next;
}

/* -- the device ------------------------------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *seen, *durable;
    struct {
        uint64_t offset;
        uint32_t n;
        uint8_t data[BM_STORE_PLANE(WIDTH_MOST)];
    } window[WINDOW]; /* since the last sync */
    uint32_t n, operations, syncs, reads;
    uint32_t cut_sync, fail_at, fail_how, read_from, read_count; /* counted from 1; 0: never */
    int off, failed, sync_failed;
} device;

static void stop(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(4);
}

static bm_store_status dev_read(void *context, uint64_t offset, void *to, uint32_t n)
{
    device *d = context;
    d->reads++;
    const int fails = d->read_count && d->reads - d->read_from < d->read_count;
    d->failed |= fails;
    if (d->off || fails) return BM_STORE_IO;
    memcpy(to, d->seen + offset, n);
    return BM_STORE_OK;
}

static bm_store_status dev_write(void *context, uint64_t offset, const void *from, uint32_t n)
{
    device *d = context;
    if (d->off) return BM_STORE_IO;
    const int fails = ++d->operations == d->fail_at;
    d->failed |= fails;
    if (fails && d->fail_how == 0) return BM_STORE_IO;
    if (fails && d->fail_how == 1u) n /= 2u;
    for (uint32_t i = 0; i < d->n && !d->failed;
        i++) /* after a failure it is written again, and lands in this order */
        if (offset < d->window[i].offset + d->window[i].n && d->window[i].offset < offset + n)
            stop("two writes of one place, unsynced");
    if (d->n == WINDOW) stop("the window is too small");
    d->window[d->n].offset = offset;
    d->window[d->n].n = n;
    memcpy(d->window[d->n++].data, from, n);
    memcpy(d->seen + offset, from, n);
    return fails ? BM_STORE_IO : BM_STORE_OK;
}

/* Part `fate` of a write reaches the medium: none, all, the front, the back, or nonsense. */
static void land(uint8_t *medium, const device *d, uint32_t i, uint32_t fate)
{
    const uint32_t n = d->window[i].n, at = (d->operations * 2654435761u + i * 40503u + checked) % n;
    uint8_t *to = medium + d->window[i].offset;
    if (fate == 1u) memcpy(to, d->window[i].data, n);
    if (fate == 2u) memcpy(to, d->window[i].data, at);
    if (fate == 3u) memcpy(to + at, d->window[i].data + at, n - at);
    if (fate == 4u) memset(to, 0xFF, n);
}

/* fail_how, of a sync: 0, everything is still to be written; 1 and more: bit i of what follows says whether write i lasts, the
 * others are in the cache, seen, and never written. */
static bm_store_status dev_sync(void *context)
{
    device *d = context;
    if (d->off) return BM_STORE_IO;
    d->operations++;
    if (++d->syncs == d->cut_sync) {
        d->off = 1;
        return BM_STORE_IO;
    }
    const int fails = d->operations == d->fail_at;
    d->failed |= fails;
    d->sync_failed |= fails;
    if (fails && d->fail_how == 0) return BM_STORE_IO;
    for (uint32_t i = 0; i < d->n; i++)
        if (!fails || (d->fail_how - 1u) >> i & 1u) land(d->durable, d, i, 1);
    d->n = 0;
    return fails ? BM_STORE_IO : BM_STORE_OK;
}

static device *new_device(const uint8_t *image)
{
    device *d = calloc(1, sizeof *d);
    if (!d || !(d->seen = malloc(image_size)) || !(d->durable = malloc(image_size))) stop("no room");
    memcpy(d->seen, image, image_size);
    memcpy(d->durable, image, image_size);
    return d;
}

static void free_device(device *d)
{
    free(d->seen);
    free(d->durable);
    free(d);
}

/* -- the store -------------------------------------------------------------------------------------------------------- */

static bm_store_status open_on(bm_store *s, device *d, void *work)
{
    const bm_store_device store_device = {dev_read, dev_write, dev_sync, NULL, d, image_size};
    return bm_store_open(s, &store_device, slots, width, digest, work);
}

static bm_status write_episode(bm_store *s, uint8_t episode)
{
    const bm_tier tier = bm_store_tier(s);
    bm_block_rows rows;
    bm_status status = tier.begin(s);
    for (uint32_t b = 0; b < blocks() && status == BM_OK; b++) {
        status = tier.get(s, b, BM_TIER_CHANGE, &rows);
        if (status != BM_OK) break;
        const int codes = changes(episode, b);
        if (codes) memset(rows.high, episode, rows.n * BM_PAD(width));
        if (codes) memset(rows.low, episode, rows.n * BM_PAD(width));
        memset(rows.scales, episode, 4u * rows.n);
        memset(rows.usage, episode, 4u * rows.n);
        status = tier.put(s, b, codes);
    }
    return status == BM_OK ? tier.commit(s) : status;
}

static int all_are(const void *bytes, uint32_t n, uint8_t value)
{
    const uint8_t *p = bytes;
    for (uint32_t i = 0; i < n; i++)
        if (p[i] != value) return 0;
    return 1;
}

/* 1: every block is as in `m`, 0: something is not, -1: an error. */
static int is(bm_store *s, int how, const memory *m)
{
    const bm_tier tier = bm_store_tier(s);
    bm_block_rows rows;
    if (how == BM_TIER_CHANGE && tier.begin(s) != BM_OK) return -1;
    for (uint32_t b = 0; b < blocks(); b++) {
        if (tier.get(s, b, how, &rows) != BM_OK) return -1;
        if (!all_are(rows.high, rows.n * BM_PAD(width), m->codes[b]) ||
            !all_are(rows.scales, 4u * rows.n, m->all))
            return 0;
        if (how == BM_TIER_READ) continue;
        if (!all_are(rows.low, rows.n * BM_PAD(width), m->codes[b]) ||
            !all_are(rows.usage, 4u * rows.n, m->all))
            return 0;
    }
    return 1;
}

/* Which of `n` memories a medium holds after power on, seen by a read and by the start of an episode; -1: none of them. */
static int found(const uint8_t *medium, const memory *const *choices, int n)
{
    device *d = new_device(medium);
    bm_store s;
    int which = -1;
    if (open_on(&s, d, copy_buffers) == BM_STORE_OK)
        for (int i = 0; i < n && which < 0; i++)
            if (is(&s, BM_TIER_READ, choices[i]) == 1 && is(&s, BM_TIER_CHANGE, choices[i]) == 1) which = i;
    free_device(d);
    checked++;
    return which;
}

static void complain(const char *what, const device *d, uint32_t combination)
{
    if (wrong++ < 5u)
        fprintf(stderr, "%s: cut at sync %u, failure %u at operation %u, reads %u to %u, combination %u\n",
            what, (unsigned)d->cut_sync, (unsigned)d->fail_how, (unsigned)d->fail_at, (unsigned)d->read_from,
            (unsigned)(d->read_from + d->read_count), (unsigned)combination);
}

static uint32_t power(uint32_t base, uint32_t n) { return n ? base * power(base, n - 1u) : 1u; }

static void cut_media(device *d, const memory *const *choices, int n, uint8_t episode, uint32_t depth);

/* Episode after `m`, cut at each of its syncs, `depth` cuts one after the other. */
static void cut_everywhere(const uint8_t *medium, const memory *m, uint8_t episode, uint32_t depth)
{
    const memory next = after(m, episode);
    const memory *const choices[2] = {m, &next};
    for (uint32_t sync = 1;; sync++) {
        device *d = new_device(medium);
        bm_store s;
        if (open_on(&s, d, buffers) != BM_STORE_OK) stop("does not open");
        d->cut_sync = sync;
        const bm_status status = write_episode(&s, episode);
        if (status == BM_OK && found(d->durable, choices + 1, 1) != 0)
            complain("a committed episode is lost", d, 0);
        if (status != BM_OK) cut_media(d, choices, 2, episode, depth);
        free_device(d);
        if (status == BM_OK) return;
        if (sync == FULL_TURN) stop("an episode does not end");
    }
}

/* Every medium that the cut may leave. */
static void cut_media(device *d, const memory *const *choices, int n, uint8_t episode, uint32_t depth)
{
    uint8_t *medium = malloc(image_size);
    if (!medium) stop("no room");
    for (uint32_t c = 0; c < power(fates, d->n); c++) {
        memcpy(medium, d->durable, image_size);
        for (uint32_t i = 0, rest = c; i < d->n; i++, rest /= fates) land(medium, d, i, rest % fates);
        const int which = found(medium, choices, n);
        if (which < 0) complain("a mixture", d, c);
        else if (depth > 1u) cut_everywhere(medium, choices[which], (uint8_t)(episode + 1u), depth - 1u);
    }
    free(medium);
}

/* -- calls ------------------------------------------------------------------------------------------------------------ */

/* Of every call, u: slots, width, fates, one more, episodes before it begins; a: digest, image with zeros alone. result: how many
 * went wrong, and how many media were looked at. */
static memory start(call *c)
{
    slots = c->u[0];
    width = c->u[1];
    fates = c->u[2];
    digest = c->a[0];
    image_size = c->bytes[1];
    checked = wrong = 0;
    if (blocks() > BLOCKS || width > WIDTH_MOST || fates > FATES_MOST) stop("too large");
    memory m = {{0}, 0};
    for (uint8_t e = 1; e <= c->u[4]; e++) { /* then live homes are on both sides */
        device *d = new_device(c->a[1]);
        bm_store s;
        if (open_on(&s, d, buffers) != BM_STORE_OK || write_episode(&s, e) != BM_OK) stop("an episode fails");
        memcpy(c->a[1], d->durable, image_size);
        m = after(&m, e);
        free_device(d);
    }
    return m;
}

/* One more: how many cuts, one after the other. */
static void cuts(call *c)
{
    const memory m = start(c);
    cut_everywhere(c->a[1], &m, (uint8_t)(c->u[4] + 1u), c->u[3]);
    c->result[0] = wrong;
    c->result[1] = checked;
}

/* After a failure the program goes on (way 0), opens the store again (1), or finds that the system dropped its cache (2); the
 * next episode is cut at each of its syncs, or ends. Returns whether it ended. */
static int go_on(const uint8_t *image, const memory *const *choices, uint8_t episode, uint32_t at,
    uint32_t how, uint32_t way, uint32_t sync)
{
    device *d = new_device(image);
    bm_store s;
    if (open_on(&s, d, buffers) != BM_STORE_OK) stop("does not open");
    d->fail_at = at;
    d->fail_how = how;
    if (write_episode(&s, episode) == BM_OK) complain("a failure is not reported", d, 0);
    d->fail_at = 0;
    if (way == 2u) {
        memcpy(d->seen, d->durable, image_size);
        for (uint32_t i = 0; i < d->n; i++) land(d->seen, d, i, 1);
    }
    if (way == 1u && open_on(&s, d, buffers) != BM_STORE_OK) complain("does not open after a failure", d, 0);
    const int now = is(&s, BM_TIER_READ, choices[1]) == 1;
    if (is(&s, BM_TIER_READ, choices[now]) != 1) complain("a mixture after a failure", d, 0);
    const memory next = after(choices[now], (uint8_t)(episode + 1u));
    const memory *const all[3] = {choices[0], choices[1], &next};
    d->syncs = 0;
    d->cut_sync = sync;
    const int ended = write_episode(&s, (uint8_t)(episode + 1u)) == BM_OK;
    if (ended && found(d->durable, all + 2, 1) != 0)
        complain("a committed episode is lost after a failure", d, 0);
    d->fail_at = at;
    if (!ended) cut_media(d, all, 3, episode, 0);
    free_device(d);
    return ended;
}

/* Every operation fails, in every way that a write or a sync may. One more: the way of go_on. */
static void failures(call *c)
{
    const memory m = start(c);
    const uint8_t episode = (uint8_t)(c->u[4] + 1u);
    const memory next = after(&m, episode);
    const memory *const choices[2] = {&m, &next};
    for (uint32_t at = 1;; at++) {
        device *d = new_device(c->a[1]);
        bm_store s;
        if (open_on(&s, d, buffers) != BM_STORE_OK) stop("does not open");
        d->fail_at = at;
        const bm_status status = write_episode(&s, episode);
        const uint32_t ways = d->sync_failed ? 1u + power(2, d->n) : 3u;
        const int done = d->operations < at;
        free_device(d);
        if (done) break;
        if (status == BM_OK) stop("a failure is not reported");
        for (uint32_t how = 0; how < ways; how++)
            for (uint32_t sync = 1;
                sync < FULL_TURN && !go_on(c->a[1], choices, episode, at, how, c->u[3], sync); sync++) {}
    }
    c->result[0] = wrong;
    c->result[1] = checked;
}

/* Reads fail one after the other, from every read on; then the device is well. No memory but the newest is shown. One more: how many. */
static void reads(call *c)
{
    const memory m = start(c);
    const uint8_t episode = (uint8_t)(c->u[4] + 1u);
    const memory next = after(&m, episode);
    const memory *const choices[2] = {&m, &next};
    for (uint32_t from = 1, done = 0; !done; from++) {
        device *d = new_device(c->a[1]);
        bm_store s;
        d->read_from = from;
        d->read_count = c->u[3];
        for (uint32_t turn = 0; open_on(&s, d, buffers) != BM_STORE_OK; turn++)
            if (turn > FULL_TURN) stop("never opens");
        for (uint32_t turn = 0, good = 0; !good; turn++) {
            const int what = is(&s, BM_TIER_READ, &m);
            if (what == 0 || turn > FULL_TURN) complain("another memory than the newest", d, 0);
            good = what >= 0 || turn > FULL_TURN;
        }
        const bm_status status = write_episode(&s, episode);
        const int now = found(d->durable, choices, 2);
        if (now < 0 || (status == BM_OK && now != 1)) complain("a mixture after a read failed", d, 0);
        bm_status again = status;
        for (uint32_t turn = 0; turn < FULL_TURN && again != BM_OK; turn++)
            again = write_episode(&s, episode);
        if (again != BM_OK || found(d->durable, choices + 1, 1) != 0)
            complain("the next episode fails after a read failed", d, 0);
        done = d->reads < from;
        free_device(d);
    }
    c->result[0] = wrong;
    c->result[1] = checked;
}

static const entry functions[] = {{"cuts", cuts}, {"failures", failures}, {"reads", reads}};

int main(void) { return driver_serve(functions, sizeof functions / sizeof *functions); }
