/* SPDX-License-Identifier: MIT-0 */
#include "bm_ascii_internal.h"

#include <string.h>

#include "bm_crc32.h"

#define FIRMWARE "ULPMark for tinyML Firmware V0.0.1" /* runners know this set of commands by that name */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static void db_load(bm_ascii *a, bm_words *w)
{
    const char *word;
    uint32_t size = 0;
    const size_t n = bm_words_next(w, &word);
    a->size = a->loaded = 0;
    a->crc = 0;
    if (n == 0) {
        bm_ascii_fail(a, "Command 'db load' requires the # of bytes");
    } else if (!bm_words_number(word, n, UINT32_MAX, &size) || size == 0) {
        bm_ascii_fail(a, "Command 'db load' must be >0 bytes");
    } else if (size > BM_ASCII_INPUT) {
        bm_ascii_say_number(a, "e-[Supplied buffer size exceeds maximum of ", BM_ASCII_INPUT, "]");
    } else if (bm_words_done(a, w)) {
        a->size = size;
        bm_ascii_say_number(a, "m-[Expecting ", size, " bytes]");
    }
}

/* A refused line changes nothing, so that it can be sent again. What goes beyond the announced size is not looked at. */
static void db_bytes(bm_ascii *a, bm_words *w, const char *word, size_t n)
{
    const size_t from = a->loaded;
    const char *why = NULL;
    if (a->size == 0) why = "Command 'db load' must come first";
    else if (from == a->size) why = "All bytes are loaded";
    else if (n & 1u) why = "Insufficent number of hex digits"; /* as it is published */
    if (!bm_words_done(a, w)) return;
    if (why) {
        bm_ascii_fail(a, why);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (hex_digit(word[i]) >= 0) continue;
        bm_ascii_put(a, "e-[Invalid hex digit '");
        bm_ascii_quote(a, word + (i & ~(size_t)1), 2);
        bm_ascii_say(a, "']");
        return;
    }
    for (size_t i = 0; i < n && a->loaded < a->size; i += 2)
        a->input[a->loaded++] = (uint8_t)(hex_digit(word[i]) << 4 | hex_digit(word[i + 1]));
    a->crc = bm_crc32(a->crc, a->input + from, a->loaded - from);
    if (a->loaded == a->size) bm_ascii_say(a, "m-load-done");
}

static void db_print(bm_ascii *a, bm_words *w)
{
    uint32_t n = UINT32_MAX, from = 0;
    if (!bm_words_optional(w, UINT32_MAX, &n) || !bm_words_optional(w, UINT32_MAX, &from)) {
        bm_ascii_fail(a, "Command 'db print' takes the # of bytes and an offset");
        return;
    }
    if (!bm_words_done(a, w)) return;
    if (from >= a->loaded) {
        bm_ascii_fail(a, "No bytes are loaded there");
        return;
    }
    if (n > a->loaded - from) n = (uint32_t)(a->loaded - from);
    for (uint32_t i = 0; i < n; i++) {
        bm_ascii_put(a, i % 8u == 0 ? "m-buffer-" : "-");
        bm_ascii_hex(a, a->input[from + i]);
        if (i % 8u == 7u || i + 1u == n) bm_ascii_end(a);
    }
}

static void db(bm_ascii *a, bm_words *w)
{
    const char *word;
    const size_t n = bm_words_next(w, &word);
    if (n == 0) bm_ascii_fail(a, "Command 'db' requires a subcommand");
    else if (bm_words_is(word, n, "load")) db_load(a, w);
    else if (bm_words_is(word, n, "print")) db_print(a, w);
    else db_bytes(a, w, word, n);
}

static void name(bm_ascii *a) { bm_ascii_say(a, "m-name-dut-[bitmar-" BM_BOARD "]"); }

/* The prefix keeps a runner from taking the model for one of its own, some of which it treats in a special way. */
static void profile(bm_ascii *a)
{
    bm_ascii_say(a, "m-profile-[" FIRMWARE "]");
    bm_ascii_say(a, "m-model-[bitmar-" BM_MODEL_NAME "]");
}

static void timestamp(bm_ascii *a) { bm_ascii_say_number(a, "m-lap-us-", bm_ascii_microseconds(a), ""); }

static void help(bm_ascii *a)
{
    bm_ascii_say(a, "m-help-[name, profile, timestamp: this board, its model, its clock]");
    bm_ascii_say(a, "m-help-[db load N: expect an input of N bytes]");
    bm_ascii_say(a, "m-help-[db HH..: bytes of it, two hex digits each]");
    bm_ascii_say(a, "m-help-[db print [N] [OFFSET]: show N bytes of it]");
    bm_ascii_say(a, "m-help-[infer [N=1] [W=10]: run it W times, then N times by the clock]");
    bm_ascii_say(a, "m-help-[results: of the last inference]");
}

void bm_ascii_init(
    bm_ascii *a, bm_state *s, const struct bm_port *port, uint8_t *input, float (*vectors)[BM_VISION])
{
    memset(a, 0, sizeof *a);
    a->s = s;
    a->port = port;
    a->input = input;
    a->vectors = vectors;
    bm_sampler_init(&a->sampler, 0.0f, 1, 0);
    bm_ascii_say(a, "m-timestamp-mode-performance");
    timestamp(a);
    bm_ascii_say(a, "m-init-done");
    bm_ascii_say(a, "m-ready");
}

static void unknown(bm_ascii *a, const char *word, size_t n)
{
    bm_ascii_put(a, "e-[Unknown command: ");
    bm_ascii_quote(a, word, n);
    bm_ascii_say(a, "]");
}

/* The commands that stand alone. */
static int is_alone(const char *word, size_t n)
{
    return bm_words_is(word, n, "name") || bm_words_is(word, n, "profile") ||
           bm_words_is(word, n, "timestamp") || bm_words_is(word, n, "help") ||
           bm_words_is(word, n, "results");
}

static void execute(bm_ascii *a, bm_words *w)
{
    const char *word;
    const size_t n = bm_words_next(w, &word);
    if (n == 0) return;                          /* a lone '%' asks whether the board is ready */
    if (bm_words_is(word, n, "db")) db(a, w);
    else if (bm_words_is(word, n, "infer")) bm_ascii_infer(a, w);
    else if (!is_alone(word, n)) unknown(a, word, n);
    else if (!bm_words_done(a, w)) return;
    else if (bm_words_is(word, n, "name")) name(a);
    else if (bm_words_is(word, n, "profile")) profile(a);
    else if (bm_words_is(word, n, "timestamp")) timestamp(a);
    else if (bm_words_is(word, n, "help")) help(a);
    else bm_ascii_results(a);
}

void bm_ascii_command(bm_ascii *a, const char *line, size_t n)
{
    bm_words w = {line, line + n};
    if (n > BM_ASCII_LINE) bm_ascii_say_number(a, "e-[Command longer than ", BM_ASCII_LINE, " characters]");
    else execute(a, &w);
    bm_ascii_say(a, "m-ready");
}
