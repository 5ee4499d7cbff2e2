/* SPDX-License-Identifier: MIT-0 */
#include "linux_show.h"

#include <stdio.h>
#include <string.h>

#include "bm_show.h"
#include "linux_output.h"
#include "linux_picture.h"

static bm_shown shown; /* what a slot holds that is looked at */
static char text[BM_SHOW_TEXT];

static int failed(bm_status status)
{
    if (status == BM_ERR_MEMORY) return LINUX_MEMORY_FAILED;
    return linux_fail("step", bm_status_text(status));
}

static int writable(const bm_state *s) { return s->memory.rows.begin != NULL; }

/* What a slot holds, into `shown`, and the name that it was taught, into `text`. */
static bm_status recite(bm_state *s, uint32_t slot)
{
    bm_status status = bm_show_get(s, slot, &shown);
    if (status == BM_OK && shown.usage) status = bm_show_recite(s, &shown, text);
    bm_words_name(text);
    return status;
}

static unsigned ago(const bm_shown *of) { return (unsigned)(BM_USAGE_ONE - of->usage); }

/* -- teach ------------------------------------------------------------------------------------------------------------ */

/* The picture of a new episode, the first one of standard input for "-". */
static int see(bm_state *s, const char *path)
{
    int none;
    bm_begin_episode(s);
    const char *wrong = strcmp(path, "-") == 0 ? linux_read_stream(stdin, s, &none)
                                               : linux_read_image(path, s);
    return wrong ? linux_fail(path, wrong) : 0;
}

/* Whether this would be recited as `name`; else say what would be. */
static int rehearse(bm_state *s, const char *name, const bm_shown *taught)
{
    char answer[BM_WORDS_ANSWER], why[256];
    bm_words_answer(name, answer);
    const bm_status status = bm_show_recite(s, taught, text);
    if (status != BM_OK) return failed(status);
    if (strcmp(text, answer) == 0) return 0;
    snprintf(why, sizeof why,
        "the model cannot keep this name: it would say '%.100s' in its place; choose another",
        text + (text[0] == ' '));
    return linux_fail(name, why);
}

/* How many things are known. */
static bm_status count(bm_state *s, unsigned *known)
{
    bm_shown one;
    bm_status status = BM_OK;
    *known = 0;
    for (uint32_t slot = BM_FIXED_SLOTS; slot < BM_SLOTS && status == BM_OK; slot++) {
        status = bm_show_get(s, slot, &one);
        *known += status == BM_OK && one.usage;
    }
    return status;
}

/* What `shown` was taught, and when, now that an episode more was written. */
static void before(void)
{
    const unsigned episodes = ago(&shown) + 1u;
    printf("%s, taught %u episode%s ago", text, episodes, episodes == 1u ? "" : "s");
}

/* Say what was taught; `shown` and `text` are of what the slot held before. */
static int told(bm_state *s, char *name, uint32_t slot, const bm_shown *taught)
{
    unsigned known;
    const bm_status status = count(s, &known);
    if (status != BM_OK) return failed(status);
    bm_words_name(name);
    printf("Taught: %s (slot %u, %u thing%s known now).", name, (unsigned)slot, known,
        known == 1u ? " is" : "s are");
    if (shown.usage && !bm_show_alike(&shown, taught)) {
        printf(" The memory was full: it forgot ");
        before();
        putchar('.');
    } else if (shown.usage && strcmp(text, name) == 0) {
        printf(" It was known by this name.");
    } else if (shown.usage) {
        printf(" It takes the place of ");
        before();
        printf(": the pictures are alike.");
    }
    putchar('\n');
    return linux_sent();
}

/* A name as it is taught; 0, or the exit status after it was said why nothing can have it. */
static int check_name(bm_state *s, const char *command, const char *word, char name[BM_WORDS_NAME + 1u])
{
    size_t tokens = 0;
    char why[160];
    const char *wrong = bm_words_check(word, name);
    if (wrong) return linux_fail(command, wrong);
    const bm_status status = bm_show_length(s, name, &tokens);
    if (status != BM_OK) return failed(status);
    if (tokens <= BM_SHOW_TOKENS) return 0;
    snprintf(why, sizeof why,
        "too long a name: saying it takes %u tokens, and an answer has %u at most; choose a shorter one",
        (unsigned)tokens, BM_SHOW_TOKENS);
    return linux_fail(name, why);
}

static int teach(bm_state *s, const char *word, const char *path)
{
    char name[BM_WORDS_NAME + 1u];
    bm_shown taught;
    uint32_t slot = 0;
    const int unnamed = check_name(s, "teach", word, name);
    if (unnamed) return unnamed;
    if (!writable(s)) return linux_fail("teach", "this memory is read-only");
    const int unseen = see(s, path);
    if (unseen) return unseen;
    bm_status status = bm_show_episode(s, name, &taught);
    if (status != BM_OK) return failed(status);
    const int refused = rehearse(s, name, &taught);
    if (refused) return refused;
    status = bm_show_slot(s, &taught, &slot);
    if (status == BM_OK) status = recite(s, slot);
    if (status == BM_OK) status = bm_show_keep(s, &taught);
    return status == BM_OK ? told(s, name, slot, &taught) : failed(status);
}

/* -- ask -------------------------------------------------------------------------------------------------------------- */

/* Characters of a JSON string. Bytes that are not UTF-8 become U+FFFD. */
static void print_escaped(const char *c)
{
    for (size_t n; *c; c += n ? n : 1u) {
        n = bm_words_utf8(c);
        if (n == 1u && (*c == '"' || *c == '\\')) printf("\\%c", *c);
        else if (n == 1u && (unsigned char)*c < ' ') printf("\\u%04x", (unsigned)*c);
        else if (n) fwrite(c, 1, n, stdout);
        else fputs("\\ufffd", stdout);
    }
}

/* Two texts, one behind the other, as a JSON string. */
static void quote(const char *first, const char *second)
{
    putchar('"');
    print_escaped(first);
    print_escaped(second);
    putchar('"');
}

/* The slots that answered, and what each recites. */
static bm_status print_slots(bm_state *s, int json)
{
    bm_answering top[BM_SHOW_TOP];
    uint32_t n = 0;
    bm_status status = bm_show_answering(s, top, &n);
    for (uint32_t i = 0; i < n && status == BM_OK; i++) {
        const unsigned slot = (unsigned)top[i].slot;
        const char *learned = top[i].slot < BM_FIXED_SLOTS ? " (learned)" : "";
        status = recite(s, top[i].slot);
        if (!json) {
            printf("slot %u, %.1f%% of the read: %s%s\n", slot, 100.0 * (double)top[i].share, text, learned);
            continue;
        }
        printf("%s{\"slot\": %u, \"share\": %.6f, \"name\": ", i ? ", " : "", slot, (double)top[i].share);
        quote("", text);
        printf(", \"learned\": %s}", *learned ? "true" : "false");
    }
    return status;
}

static int answer(bm_state *s, const linux_options *o)
{
    bm_status status = bm_show_ask(s, text);
    if (status != BM_OK) return failed(status);
    const int known = strcmp(text, BM_WORDS_UNKNOWN) != 0;
    const char *prompt = known ? BM_WORDS_PROMPT : "", *said = known ? text : text + 1;
    if (!o->json) {
        printf("%s%s\n", prompt, said);
    } else {
        printf("{\"text\": ");
        quote(prompt, said);
        bm_words_name(text);
        printf(", \"name\": ");
        if (known) quote("", text);
        else printf("null");
        printf(", \"slots\": [");
    }
    if (o->json || o->slots) status = print_slots(s, o->json);
    if (o->json) puts("]}");
    return status == BM_OK ? linux_sent() : failed(status);
}

/* Each picture of standard input in turn, as a camera sends them. */
static int answer_all(bm_state *s, const linux_options *o)
{
    for (unsigned pictures = 0;; pictures++) {
        int none = 0;
        bm_begin_episode(s);
        const char *wrong = linux_read_stream(stdin, s, &none);
        if (none && pictures) return 0;
        if (wrong) return linux_fail("-", wrong);
        const int lost = answer(s, o);
        if (lost) return lost;
    }
}

static int ask(bm_state *s, const linux_options *o)
{
    const char *path = o->operands[0];
    if (strcmp(path, "-") == 0) return answer_all(s, o);
    const int unseen = see(s, path);
    return unseen ? unseen : answer(s, o);
}

/* -- list, forget ----------------------------------------------------------------------------------------------------- */

typedef struct {
    uint32_t slot, usage;
} thing;

/* Into the first n, the latest first; of equals the lower slot, which comes earlier. */
static void insert(thing *known, size_t n, thing found)
{
    for (; n && known[n - 1u].usage < found.usage; n--) known[n] = known[n - 1u];
    known[n] = found;
}

static int list(bm_state *s)
{
    static thing known[BM_SLOTS];
    size_t n = 0;
    bm_status status = BM_OK;
    for (uint32_t slot = BM_FIXED_SLOTS; slot < BM_SLOTS && status == BM_OK; slot++) {
        const thing found = {slot, (status = bm_show_get(s, slot, &shown)) == BM_OK ? shown.usage : 0u};
        if (found.usage) insert(known, n++, found);
    }
    puts(n ? "slot  episodes ago  thing" : "Nothing was taught yet.");
    for (size_t i = 0; i < n && status == BM_OK; i++) {
        status = recite(s, known[i].slot);
        if (status == BM_OK) printf("%4u  %12u  %s\n", (unsigned)known[i].slot, ago(&shown), text);
    }
    return status == BM_OK ? linux_sent() : failed(status);
}

static unsigned is_chosen(const uint8_t *chosen, uint32_t slot)
{ return chosen[slot / 8u] >> slot % 8u & 1u; }

/* The slots that recite `name`. */
static bm_status find(bm_state *s, const char *name, uint8_t *chosen)
{
    bm_status status = BM_OK;
    for (uint32_t slot = BM_FIXED_SLOTS; slot < BM_SLOTS && status == BM_OK; slot++) {
        status = recite(s, slot);
        if (status != BM_OK || !shown.usage || strcmp(text, name) != 0) continue;
        chosen[slot / 8u] = (uint8_t)(chosen[slot / 8u] | 1u << slot % 8u);
    }
    return status;
}

/* Say what was forgotten, and which slots held it. */
static int gone(const char *name, const uint8_t *chosen, unsigned found)
{
    printf("Forgot: %s (slot%s", name, found > 1u ? "s" : "");
    for (uint32_t slot = 0, many = 0; slot < BM_SLOTS; slot++)
        if (is_chosen(chosen, slot)) printf("%s %u", many++ ? "," : "", (unsigned)slot);
    puts(").");
    return linux_sent();
}

static int forget(bm_state *s, const char *word)
{
    static uint8_t chosen[BM_SHOW_CHOSEN];
    char name[BM_WORDS_NAME + 1u], answer_of[BM_WORDS_ANSWER];
    unsigned found = 0;
    const int unnamed = check_name(s, "forget", word, name);
    if (unnamed) return unnamed;
    if (!writable(s)) return linux_fail("forget", "this memory is read-only");
    bm_words_answer(name, answer_of);
    bm_words_name(answer_of);
    bm_status status = find(s, answer_of, chosen);
    for (uint32_t slot = 0; slot < BM_SLOTS; slot++) found += is_chosen(chosen, slot);
    if (status == BM_OK && !found)
        return linux_fail(name, "nothing is known by this name; 'bitmar list' shows what is");
    if (status == BM_OK) status = bm_show_forget(s, chosen);
    return status == BM_OK ? gone(answer_of, chosen, found) : failed(status);
}

int linux_show(bm_state *s, const linux_options *o)
{
    switch (o->command) {
    case LINUX_TEACH: return teach(s, o->operands[0], o->operands[1]);
    case LINUX_ASK: return ask(s, o);
    case LINUX_FORGET: return forget(s, o->operands[0]);
    default: return list(s);
    }
}
