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

const char *bm_words_check(const char *text, char name[BM_WORDS_NAME + 1u])
{
    size_t n;
    const size_t from = strip(text, &n);
    if (n == 0) return "the name is empty";
    if (n > BM_WORDS_NAME) return "the name is longer than 128 bytes";
    memcpy(name, text + from, n);
    name[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7F || name[i] == '.')
            return "the name holds a line break, another control character or a full stop";
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
