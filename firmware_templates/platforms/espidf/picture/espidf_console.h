/* SPDX-License-Identifier: MIT-0 */
/* Lines that a person types on the console. */
#ifndef ESPIDF_CONSOLE_H
#define ESPIDF_CONSOLE_H

#include <stddef.h>

/* Ask, and wait for a line, which is echoed and ended by a zero; of a longer one the first room - 1 bytes. */
void espidf_console_ask(const char *question, char *line, size_t room);

#endif
