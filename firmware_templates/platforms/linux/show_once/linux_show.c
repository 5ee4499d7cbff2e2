/* SPDX-License-Identifier: MIT-0 */
#include "linux_show.h"

#include <stdio.h>
#include <string.h>

#include "bm_show.h"
#include "linux_output.h"
#include "linux_picture.h"

static bm_shown shown;
static char text[BM_SHOW_TEXT];

static int failed(bm_status status)
{
    if (status == BM_ERR_MEMORY) return LINUX_MEMORY_FAILED;
    return linux_fail("step", bm_status_text(status));
}

/* What a slot was taught, into `text`, and what it holds, into `shown`. */
static bm_status recite(bm_state *s, uint32_t slot)
{
    const bm_status status = bm_show_get(s, slot, &shown);
    return status == BM_OK && shown.usage ? bm_show_recite(s, &shown, text) : status;
}

static int is_stream(const char *path) { return strcmp(path, "-") == 0; }

/* The picture of a new episode. */
static int see(bm_state *s, const char *path)
{
    int none;
    bm_begin_episode(s);
    const char *wrong = is_stream(path) ? linux_read_stream(stdin, s, &none) : linux_read_image(path, s);
    return wrong ? linux_fail(path, wrong) : 0;
}

/* Whether this would be recited as `name`; else say what would be. */
static int rehearse(bm_state *s, const char *name, const bm_shown *taught)
{
    char answer[BM_WORDS_ANSWER], why[BM_WORDS_NAME + 128u];
    bm_words_answer(name, answer);
    const bm_status status = bm_show_recite(s, taught, text);
    if (status != BM_OK) return failed(status);
    if (strcmp(text, answer) == 0) return 0;
    bm_words_name(text);
    snprintf(why, sizeof why, "this model would say '%.64s' instead; choose another name", text);
    return linux_fail(name, why);
}

/* Say what was taught where, and what that slot held before: `text`, if `replaced`. */
static int told(const char *name, uint32_t slot, int replaced)
{
    bm_words_name(text);
    printf("%s: slot %u", name, (unsigned)slot);
    if (replaced) printf(", in the place of %s", text);
    putchar('\n');
    return linux_sent();
}

static int teach(bm_state *s, const char *name, const char *path)
{
    bm_shown taught;
    uint32_t slot = 0;
    const char *wrong = bm_words_check(name);
    if (wrong) return linux_fail(name, wrong);
    if (!s->memory.rows.begin) return linux_fail("teach", "this memory is read-only");
    const int unseen = see(s, path);
    if (unseen) return unseen;
    bm_status status = bm_show_episode(s, name, &taught);
    if (status != BM_OK) return failed(status);
    const int refused = rehearse(s, name, &taught);
    if (refused) return refused;
    status = bm_show_slot(s, &taught, &slot);
    if (status == BM_OK) status = recite(s, slot);
    if (status == BM_OK) status = bm_show_keep(s, &taught);
    return status == BM_OK ? told(name, slot, shown.usage != 0) : failed(status);
}

static int answer(bm_state *s)
{
    const bm_status status = bm_show_ask(s, text);
    if (status != BM_OK) return failed(status);
    bm_words_name(text);
    puts(text);
    return linux_sent();
}

/* Each picture of a stream, such as a camera's, in turn. */
static int answer_stream(bm_state *s)
{
    for (unsigned pictures = 0;; pictures++) {
        int none = 0;
        bm_begin_episode(s);
        const char *wrong = linux_read_stream(stdin, s, &none);
        if (none && pictures) return 0;
        if (wrong) return linux_fail("-", wrong);
        const int lost = answer(s);
        if (lost) return lost;
    }
}

static int ask(bm_state *s, const char *path)
{
    if (is_stream(path)) return answer_stream(s);
    const int unseen = see(s, path);
    return unseen ? unseen : answer(s);
}

static int list(bm_state *s)
{
    unsigned known = 0;
    for (uint32_t slot = BM_FIXED_SLOTS; slot < BM_SLOTS; slot++) {
        const bm_status status = recite(s, slot);
        if (status != BM_OK) return failed(status);
        if (!shown.usage) continue;
        if (!known++) printf("slot  episodes ago  name\n");
        bm_words_name(text);
        printf("%4u  %12u  %s\n", (unsigned)slot, (unsigned)(BM_USAGE_ONE - shown.usage), text);
    }
    if (!known) printf("nothing was shown yet\n");
    return linux_sent();
}

static int forget(bm_state *s, const char *name)
{
    static uint8_t chosen[BM_SHOW_CHOSEN];
    char answer[BM_WORDS_ANSWER];
    unsigned found = 0;
    const char *wrong = bm_words_check(name);
    if (wrong) return linux_fail(name, wrong);
    if (!s->memory.rows.begin) return linux_fail("forget", "this memory is read-only");
    bm_words_answer(name, answer);
    for (uint32_t slot = BM_FIXED_SLOTS; slot < BM_SLOTS; slot++) {
        const bm_status status = recite(s, slot);
        if (status != BM_OK) return failed(status);
        if (!shown.usage || strcmp(text, answer) != 0) continue;
        chosen[slot / 8u] = (uint8_t)(chosen[slot / 8u] | 1u << slot % 8u);
        found++;
    }
    if (!found) return linux_fail(name, "nothing is called so; 'bitmar list' says what is known");
    const bm_status status = bm_show_forget(s, chosen);
    if (status != BM_OK) return failed(status);
    printf("%s: forgotten, %u slot%s\n", name, found, found == 1u ? "" : "s");
    return linux_sent();
}

int linux_show(bm_state *s, const linux_options *o)
{
    switch (o->command) {
    case LINUX_TEACH: return teach(s, o->operands[0], o->operands[1]);
    case LINUX_ASK: return ask(s, o->operands[0]);
    case LINUX_FORGET: return forget(s, o->operands[0]);
    default: return list(s);
    }
}
