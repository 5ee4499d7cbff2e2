/* SPDX-License-Identifier: MIT-0 */
/* What the program says: a failure in one sentence, and whether its output arrived. */
#ifndef LINUX_OUTPUT_H
#define LINUX_OUTPUT_H

/* Say on standard error what failed and why. Returns the exit status for it. */
int linux_fail(const char *what, const char *why);

/* The sentence of the last failure; empty if there was none. */
const char *linux_failure(void);

/* The exit status for an output that failed with `error` (errno): 141 where nobody reads any more, as the shell calls SIGPIPE;
 * else 1, and the reason on standard error. */
int linux_lost(int error);

/* Send what was printed. 0 if all of it left, else what linux_lost says. */
int linux_sent(void);

#endif
