/* SPDX-License-Identifier: MIT-0 */
/* Lines of the text face, and the words of its commands. */
#include "bm_ascii_internal.h"

#include <string.h>

static void flush(bm_ascii *a)
{
    if (a->pending) a->port->write(a->port->user, a->text, a->pending);
    a->pending = 0;
}

void bm_ascii_char(bm_ascii *a, char c)
{
    if (a->pending == sizeof a->text) flush(a);
    a->text[a->pending++] = c;
}

void bm_ascii_put(bm_ascii *a, const char *text)
{
    while (*text) bm_ascii_char(a, *text++);
}

void bm_ascii_number(bm_ascii *a, uint64_t v, size_t digits)
{
    char text[20];
    size_t n = 0;
    do text[n++] = (char)('0' + v % 10u);
    while ((v /= 10u) != 0 || n < digits);
    while (n) bm_ascii_char(a, text[--n]);
}

void bm_ascii_hex(bm_ascii *a, uint8_t v)
{
    bm_ascii_char(a, "0123456789abcdef"[v >> 4]);
    bm_ascii_char(a, "0123456789abcdef"[v & 15u]);
}

/* Text that came from outside: what could be taken for an answer ("m-ready") or end one is shown as '?'. */
void bm_ascii_quote(bm_ascii *a, const char *word, size_t n)
{
    for (size_t i = 0; i < n && i < 32u; i++) {
        const char c = word[i];
        const int plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          c == '_' || c == '.';
        bm_ascii_char(a, plain ? c : '?');
    }
}

void bm_ascii_end(bm_ascii *a)
{
    bm_ascii_put(a, "\r\n");
    flush(a);
}

void bm_ascii_say(bm_ascii *a, const char *line)
{
    bm_ascii_put(a, line);
    bm_ascii_end(a);
}

void bm_ascii_say_number(bm_ascii *a, const char *before, uint64_t v, const char *after)
{
    bm_ascii_put(a, before);
    bm_ascii_number(a, v, 1);
    bm_ascii_say(a, after);
}

void bm_ascii_fail(bm_ascii *a, const char *why)
{
    bm_ascii_put(a, "e-[");
    bm_ascii_put(a, why);
    bm_ascii_say(a, "]");
}

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0'; }

size_t bm_words_next(bm_words *w, const char **word)
{
    while (w->at < w->end && is_space(*w->at)) w->at++;
    *word = w->at;
    while (w->at < w->end && !is_space(*w->at)) w->at++;
    return (size_t)(w->at - *word);
}

int bm_words_is(const char *word, size_t n, const char *name)
{ return strlen(name) == n && memcmp(word, name, n) == 0; }

int bm_words_number(const char *word, size_t n, uint32_t most, uint32_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (word[i] < '0' || word[i] > '9') return 0;
        v = v * 10u + (uint32_t)(word[i] - '0');
        if (v > most) return 0;
    }
    *out = (uint32_t)v;
    return n > 0;
}

int bm_words_optional(bm_words *w, uint32_t most, uint32_t *out)
{
    const char *word;
    const size_t n = bm_words_next(w, &word);
    return n == 0 || bm_words_number(word, n, most, out);
}

int bm_words_done(bm_ascii *a, bm_words *w)
{
    const char *word;
    if (bm_words_next(w, &word) == 0) return 1;
    bm_ascii_fail(a, "Too many arguments");
    return 0;
}
