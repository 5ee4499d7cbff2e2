/* SPDX-License-Identifier: MIT-0 */
/* The command line of the program. */
#ifndef LINUX_OPTIONS_H
#define LINUX_OPTIONS_H

#include <stdint.h>

typedef enum {
    LINUX_HELP = 0,
    LINUX_GENERATE = 1,
    LINUX_INFO = 2,
    LINUX_BENCH = 4,
    LINUX_PROFILE = 8,
    LINUX_LINK = 16,
    LINUX_TEACH = 32,
    LINUX_ASK = 64,
    LINUX_FORGET = 128,
    LINUX_LIST = 256
} linux_command;

typedef struct {
    linux_command command;
    const char *image, *prompt, *store, *port, *updates;
    const char *operands[2]; /* of teach: name, picture; of ask: picture; of forget: name */
    uint32_t tokens, top_k, threads, baud;
    uint64_t seed;
    float temperature;
    int ids, remember, no_memory, optional_memory, slots, json;
} linux_options;

/* Read the command line. Returns 0, or the exit status after it has said what is wrong. */
int linux_parse(int argc, char **argv, linux_options *o);

/* Print every command and option that this build has. */
void linux_usage(void);

#endif
