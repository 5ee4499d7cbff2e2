/* SPDX-License-Identifier: MIT-0 */
#include "bm_words.h"

#include <string.h>

/* Words before which no article is put. */
static const char *const determiners[] = {"a", "an", "the", "my", "your", "his", "her", "our", "their"};

static char lower(char c) { return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

static int begins_with_word(const char *name, const char *word)
{
    while (*word && lower(*name) == *word) name++, word++;
    return !*word && (*name == ' ' || *name == '\0');
}

static int is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Where a text begins behind its spaces; n: its length without those behind it. */
static size_t strip(const char *text, size_t *n)
{
    size_t from = 0, end = strlen(text);
    while (end && is_space(text[end - 1u])) end--;
    while (from < end && is_space(text[from])) from++;
    *n = end - from;
    return from;
}

size_t bm_words_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    const size_t n = s[0] < 0x80u                    ? 1u
                     : s[0] >= 0xC2u && s[0] < 0xE0u ? 2u
                     : s[0] >= 0xE0u && s[0] < 0xF0u ? 3u
                     : s[0] >= 0xF0u && s[0] < 0xF5u ? 4u
                                                     : 0u;
    if (n == 0 || s[0] == 0) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0u) != 0x80u) return 0;
    if (n == 3u && ((s[0] == 0xE0u && s[1] < 0xA0u) || (s[0] == 0xEDu && s[1] > 0x9Fu))) return 0;
    if (n == 4u && ((s[0] == 0xF0u && s[1] < 0x90u) || (s[0] == 0xF4u && s[1] > 0x8Fu))) return 0;
    return n;
}

/* Of ASCII and of Latin-1, and the two that separate lines. */
static int is_control(const char *c)
{
    const unsigned char *s = (const unsigned char *)c;
    return s[0] < ' ' || s[0] == 0x7Fu || (s[0] == 0xC2u && s[1] < 0xA0u) ||
           (s[0] == 0xE2u && s[1] == 0x80u && (s[2] == 0xA8u || s[2] == 0xA9u));
}

const char *bm_words_check(const char *text, char name[BM_WORDS_NAME + 1u])
{
    size_t n, step;
    const size_t from = strip(text, &n);
    for (const char *c = text; *c; c += step)
        if ((step = bm_words_utf8(c)) == 0)
            return "the name holds bytes that are no Unicode text; write it in UTF-8";
    if (n == 0) return "the name is empty";
    for (size_t i = from; i < from + n; i += bm_words_utf8(text + i))
        if (text[i] == '.' || is_control(text + i))
            return "the name holds a line break, another control character or a full stop";
    if (n > BM_WORDS_NAME) return "the name is longer than 128 bytes; choose a shorter one";
    memcpy(name, text + from, n);
    name[n] = '\0';
    return NULL;
}

void bm_words_answer(const char *name, char answer[BM_WORDS_ANSWER])
{
    const char first = lower(name[0]);
    const char *article = first != '\0' && strchr("aeiou", first) ? " an " : " a ";
    for (size_t i = 0; i < sizeof determiners / sizeof *determiners; i++)
        if (begins_with_word(name, determiners[i])) article = " ";
    strcpy(answer, article);
    strcat(answer, name);
    strcat(answer, ".");
}

void bm_words_name(char *answer)
{
    size_t n, from = strip(answer, &n);
    if (n && answer[from + n - 1u] == '.') n--;
    const size_t article = n > 2u && memcmp(answer + from, "a ", 2) == 0    ? 2u
                           : n > 3u && memcmp(answer + from, "an ", 3) == 0 ? 3u
                                                                            : 0u;
    memmove(answer, answer + from + article, n - article);
    answer[n - article] = '\0';
}
