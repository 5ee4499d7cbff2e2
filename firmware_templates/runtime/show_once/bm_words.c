/* SPDX-License-Identifier: MIT-0 */
#include "bm_words.h"

#include <string.h>

/* Words before which no article is put. */
static const char *const determiners[] = {
    "a", "an", "the", "my", "your", "his", "her", "our", "their"};

static char lower(char c) { return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); }

static int begins_with_word(const char *name, const char *word)
{
    while (*word && lower(*name) == *word) name++, word++;
    return !*word && (*name == ' ' || *name == '\0');
}

const char *bm_words_check(const char *name)
{
    const size_t n = strlen(name);
    if (n == 0) return "a name has one letter at least";
    if (n > BM_WORDS_NAME) return "the name is longer than 64 bytes";
    if (name[0] == ' ' || name[n - 1u] == ' ' || name[n - 1u] == '.')
        return "a name begins and ends with a letter, not with a space or a full stop";
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7F) return "the name holds a control character";
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
    size_t n = strlen(answer), from = 0;
    while (n && strchr(" \t\n\v\f\r", answer[n - 1u])) n--;
    while (from < n && strchr(" \t\n\v\f\r", answer[from])) from++;
    if (n > from && answer[n - 1u] == '.') n--;
    if (n - from > 2u && memcmp(answer + from, "a ", 2) == 0) from += 2u;
    else if (n - from > 3u && memcmp(answer + from, "an ", 3) == 0) from += 3u;
    memmove(answer, answer + from, n - from);
    answer[n - from] = '\0';
}
