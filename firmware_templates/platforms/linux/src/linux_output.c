/* SPDX-License-Identifier: MIT-0 */
#include "linux_output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NOT_WRITTEN 1
#define NOBODY_READS 141

static char sentence[256];

static int say(const char *what, const char *why, int status)
{
    snprintf(sentence, sizeof sentence, "%s: %s", what, why);
    fprintf(stderr, "bitmar: %s: %s\n", what, why);
    return status;
}

int linux_fail(const char *what, const char *why) { return say(what, why, 2); }

const char *linux_failure(void) { return sentence; }

int linux_lost(int error)
{
    if (error == EPIPE) return NOBODY_READS;
    return say("standard output", error ? strerror(error) : "some of it could not be written", NOT_WRITTEN);
}

int linux_sent(void)
{
    errno = 0;
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : linux_lost(errno);
}
