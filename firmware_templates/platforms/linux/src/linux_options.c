/* SPDX-License-Identifier: MIT-0 */
#include "linux_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitmar.h"
#include "linux_output.h"
#include "linux_threads.h"

#define SHOWN (LINUX_TEACH | LINUX_ASK | LINUX_FORGET | LINUX_LIST) /* what BM_SHOW_ONCE has */
#define FREE (LINUX_GENERATE | LINUX_BENCH | LINUX_PROFILE | LINUX_LINK) /* what goes without the memory */
#define ALL (FREE | SHOWN)

/* operands: what stands behind the name, in the order of linux_options.operands. */
static const struct {
    const char *name;
    linux_command command;
    const char *about;
    unsigned operands;
    const char *usage;
} commands[] = {
    {"generate", LINUX_GENERATE, "write text for a picture, a prompt, or both", 0, ""},
    {"info", LINUX_INFO, "say which model this is, and what it takes", 0, ""},
    {"teach", LINUX_TEACH, "show a picture (.ppm) once, and say its name", 2, "NAME PICTURE"},
    {"ask", LINUX_ASK, "say what a picture shows; -: each of standard input", 1, "PICTURE"},
    {"forget", LINUX_FORGET, "forget all that is called so", 1, "NAME"},
    {"list", LINUX_LIST, "say what was taught, and how long ago", 0, ""},
    {"bench", LINUX_BENCH, "time kernels and steps; one JSON document", 0, ""},
    {"profile", LINUX_PROFILE, "the same without the kernels", 0, ""},
    {"link", LINUX_LINK, "answer a host over a serial port or standard input", 0, ""},
};

enum {
    IMAGE,
    PROMPT,
    TOKENS,
    TEMPERATURE,
    TOP_K,
    SEED,
    IDS,
    REMEMBER,
    NO_MEMORY,
    STORE,
    OPTIONAL_MEMORY,
    THREADS,
    PORT,
    BAUD,
    SLOTS,
    JSON,
    UPDATES
};

/* value: what stands behind the name, NULL where nothing does. A number lies in [low, high]; high 0: it is a text. */
static const struct {
    const char *name, *value;
    unsigned commands;
    double low, high;
    int whole;
    const char *about;
} known[] = {
    [IMAGE] = {"--image", "FILE", LINUX_GENERATE, 0, 0, 0, ".ppm picture, .u8 raw patches or .f32 features"},
    [PROMPT] = {"--prompt", "TEXT", LINUX_GENERATE, 0, 0, 0, "text to continue"},
    [TOKENS] = {"--tokens", "N", LINUX_GENERATE, 1, 1e6, 1, "at most this many (32)"},
    [TEMPERATURE] = {"--temperature", "T", LINUX_GENERATE, 0, 100, 0, "0 is greedy (0)"},
    [TOP_K] = {"--top-k", "K", LINUX_GENERATE, 1, BM_MAX_TOP_K, 1, "choose among the K likeliest (40)"},
    [SEED] = {"--seed", "S", LINUX_GENERATE, 0, 9e15, 1, "of the random choice (0)"},
    [IDS] = {"--ids", NULL, LINUX_GENERATE, 0, 0, 0, "print token ids, not text"},
    [REMEMBER] = {"--remember", NULL, LINUX_GENERATE, 0, 0, 0,
        "write the episode into the memory at its end"},
    [NO_MEMORY] = {"--no-memory", NULL, FREE, 0, 0, 0, "leave the memory unread"},
    [STORE] = {"--store", "FILE", ALL, 0, 0, 0, "the memory (memory.store)"},
    [OPTIONAL_MEMORY] = {"--optional-memory", NULL, FREE, 0, 0, 0,
        "go on without a memory that cannot be used"},
    [THREADS] = {"--threads", "N", ALL, 1, LINUX_MAX_THREADS, 1, "that compute (1)"},
    [PORT] = {"--port", "TTY", LINUX_LINK, 0, 0, 0, "a serial port"},
    [SLOTS] = {"--slots", NULL, LINUX_ASK, 0, 0, 0, "say which slots answered, and what each recites"},
    [JSON] = {"--json", NULL, LINUX_ASK, 0, 0, 0, "print one JSON document a picture, with the slots"},
    [UPDATES] = {"--updates", "DIR", ALL, 0, 0, 0, "models that came over the link (updates)"},
    [BAUD] = {"--baud", "N", LINUX_LINK, 9600, 3e6, 1, "its speed (115200)"},
};

#define KNOWN (sizeof known / sizeof *known)
#define COMMANDS (sizeof commands / sizeof *commands)

/* Whether this build has no use for an option. */
static int idle(size_t i)
{ return i == UPDATES ? !BM_UPDATES : !BM_MEMORY_IN_STORE && (i == STORE || i == OPTIONAL_MEMORY); }

static int lacks(linux_command command) { return !BM_SHOW_ONCE && (command & SHOWN); }

static void print_options(unsigned of)
{
    for (size_t i = 0; i < KNOWN; i++)
        if (known[i].commands == of && !idle(i))
            printf("  %-17s %-5s %s\n", known[i].name, known[i].value ? known[i].value : "", known[i].about);
}

void linux_usage(void)
{
    printf("The model %s for %s as a program.\n\nUsage: bitmar COMMAND [OPTION]...\n\n", BM_MODEL_NAME,
        BM_BOARD);
    for (size_t i = 0; i < COMMANDS; i++) {
        const int room = 22 - (int)strlen(commands[i].name);
        if (!lacks(commands[i].command))
            printf("  %s %-*s %s\n", commands[i].name, room, commands[i].usage, commands[i].about);
    }
    printf("\nOptions of generate:\n");
    print_options(LINUX_GENERATE);
    printf("\nOptions of link:\n");
    print_options(LINUX_LINK);
    if (BM_SHOW_ONCE) {
        printf("\nOptions of ask:\n");
        print_options(LINUX_ASK);
    }
    printf("\nOptions of generate, bench, profile and link:\n");
    print_options(FREE);
    printf("\nOptions of all but info:\n");
    print_options(ALL);
    printf("\nExample: bitmar %s\n", BM_SHOW_ONCE ? "teach \"my cup\" cup.ppm && bitmar ask again.ppm"
                                                  : "generate --image picture.ppm --tokens 20");
}

static int read_number(size_t i, const char *text, double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    if (end == text || *end || !(*out >= known[i].low && *out <= known[i].high)) {
        char why[128];
        snprintf(why, sizeof why, "value out of range: '%.20s' is not in %.15g to %.15g", text, known[i].low,
            known[i].high);
        return linux_fail(known[i].name, why);
    }
    if (known[i].whole && *out != (double)(uint64_t)*out)
        return linux_fail(known[i].name, "must be a whole number");
    return 0;
}

static void set(linux_options *o, size_t i, const char *text, double number)
{
    switch (i) {
    case IMAGE: o->image = text; break;
    case PROMPT: o->prompt = text; break;
    case TOKENS: o->tokens = (uint32_t)number; break;
    case TEMPERATURE: o->temperature = (float)number; break;
    case TOP_K: o->top_k = (uint32_t)number; break;
    case SEED: o->seed = (uint64_t)number; break;
    case IDS: o->ids = 1; break;
    case REMEMBER: o->remember = 1; break;
    case NO_MEMORY: o->no_memory = 1; break;
    case STORE: o->store = text; break;
    case OPTIONAL_MEMORY: o->optional_memory = 1; break;
    case THREADS: o->threads = (uint32_t)number; break;
    case PORT: o->port = text; break;
    case BAUD: o->baud = (uint32_t)number; break;
    case SLOTS: o->slots = 1; break;
    case JSON: o->json = 1; break;
    case UPDATES: o->updates = text; break;
    }
}

/* The option argv[*at], with its value. */
static int parse_option(char **argv, int *at, linux_options *o)
{
    const char *name = argv[*at], *text = NULL;
    size_t i = 0;
    double value = 0;
    while (i < KNOWN && strcmp(name, known[i].name) != 0) i++;
    if (i == KNOWN) return linux_fail(name, "unknown option; see 'bitmar --help'");
    if (idle(i) && i == UPDATES)
        return linux_fail(name, "this build takes no updates; generate the project with --updates");
    if (idle(i)) return linux_fail(name, "this build has no store; generate the project with --memory sd");
    if (!(known[i].commands & o->command))
        return linux_fail(name, "not an option of this command; see 'bitmar --help'");
    if (known[i].value) {
        text = argv[*at + 1];
        if (!text) return linux_fail(name, "needs a value");
        ++*at;
    }
    if (known[i].high > 0) {
        const int bad = read_number(i, text, &value);
        if (bad) return bad;
    }
    set(o, i, text, value);
    return 0;
}

/* Why this build has no such command. */
static int refuse(const char *name)
{
    return linux_fail(
        name, BM_KEYED && BM_TOKENIZER_BYTES
                  ? "this build has no store; generate the project with --memory sd"
                  : "this model cannot be shown a thing once: it needs a keyed memory and a tokenizer");
}

/* What stands behind a command: options and operands. */
static int parse_rest(size_t c, int argc, char **argv, linux_options *o)
{
    unsigned operands = 0;
    for (int i = 2; i < argc; i++) {
        if (operands < commands[c].operands && (argv[i][0] != '-' || argv[i][1] == '\0')) {
            o->operands[operands++] = argv[i];
            continue;
        }
        const int bad = parse_option(argv, &i, o);
        if (bad) return bad;
    }
    if (operands == commands[c].operands) return 0;
    char why[64];
    snprintf(why, sizeof why, "needs %s; see 'bitmar --help'", commands[c].usage);
    return linux_fail(commands[c].name, why);
}

static int is_help(const char *word) { return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0; }

int linux_parse(int argc, char **argv, linux_options *o)
{
    const linux_options defaults = {.prompt = "",
        .tokens = 32,
        .top_k = 40,
        .store = "memory.store",
        .updates = "updates",
        .threads = 1,
        .baud = 115200};
    size_t c = 0;
    *o = defaults;
    if (argc < 2) return linux_fail("usage", "bitmar COMMAND [OPTION]...; see 'bitmar --help'");
    if (is_help(argv[1]) || strcmp(argv[1], "help") == 0) return 0;
    while (c < COMMANDS && strcmp(argv[1], commands[c].name) != 0) c++;
    if (c == COMMANDS) return linux_fail(argv[1], "unknown command; see 'bitmar --help'");
    o->command = commands[c].command;
    for (int i = 2; i < argc; i++)
        if (is_help(argv[i])) {
            o->command = LINUX_HELP;
            return 0;
        }
    return lacks(o->command) ? refuse(argv[1]) : parse_rest(c, argc, argv, o);
}
