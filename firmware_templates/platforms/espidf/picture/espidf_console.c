/* SPDX-License-Identifier: MIT-0 */
/* The console's reads do not wait: without a driver they return what has come (ESP-IDF, Virtual Filesystem Component, Standard IO
 * Streams). */
#include "espidf_console.h"

#include <stdio.h>

#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#define LOOK_MS 20
#define BACKSPACE 8
#define DELETE 127

/* EOF: nothing has come. */
static int next(void)
{
    const int c = fgetc(stdin);
    if (c == EOF) clearerr(stdin);
    return c;
}

static int wait_for_byte(void)
{
    int c;
    fflush(stdout);
    while ((c = next()) == EOF) vTaskDelay(pdMS_TO_TICKS(LOOK_MS));
    return c;
}

/* The length without the last character, which may have several bytes (UTF-8). */
static size_t take_back(const char *line, size_t n)
{
    while (n && ((unsigned char)line[n - 1u] & 0xC0u) == 0x80u) n--;
    printf("\b \b");
    return n ? n - 1u : 0u;
}

void espidf_console_ask(const char *question, char *line, size_t room)
{
    size_t n = 0;
    int c;
    while (next() != EOF) {} /* what was typed before nobody had asked for */
    printf("%s", question);
    while ((c = wait_for_byte()) != '\r' && c != '\n') {
        if (c == BACKSPACE || c == DELETE) {
            if (n) n = take_back(line, n);
        } else if (n + 1u < room) {
            line[n++] = (char)c;
            putchar(c);
        }
    }
    line[n] = '\0';
    putchar('\n');
}
