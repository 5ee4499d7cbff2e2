/* A command a line on UART0. Answers begin with "bm:", since log lines of ESP-IDF share the wire. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/uart.h"
#include "esp_timer.h"
#include "espidf.h"
#include "freertos/FreeRTOS.h"

#define LINE 256
#define MOST_TOKENS 100000L

static bm_sampler sampler;

static void say(const char *text)
{
    printf("bm: %s\n", text);
}

/* Read a line without its end; characters that do not fit are dropped. */
static void read_line(char *line)
{
    size_t n = 0;
    uint8_t c = 0;
    for (;;) {
        if (uart_read_bytes(UART_NUM_0, &c, 1, portMAX_DELAY) != 1) continue;
        if (c == '\r' || c == '\n') {
            if (n) break;
        } else if (n + 1u < LINE) {
            line[n++] = (char)c;
        }
    }
    line[n] = 0;
}

static void info(const bm_state *s, const char *why)
{
    printf("bm: model %s board %s kernels %s blob %u memory %u\n", BM_MODEL_NAME, BM_BOARD, BM_KERNELS_NAME, (unsigned)BM_BLOB_BYTES,
           (unsigned)BM_RAM_TOTAL);
    printf("bm: sha256 ");
    static const uint8_t digest[32] = BM_MODEL_DIGEST;
    for (size_t i = 0; i < sizeof digest; i++) printf("%02x", digest[i]);
    printf("\nbm: %s\n", why ? why : s->split ? "ready, two cores" : "ready, one core");
}

/* Feed EOS and the prompt, then generate until EOS or n tokens. */
static bm_status generate(bm_state *s, long n, const char *prompt)
{
    static uint32_t ids[LINE];
    static bm_tokenizer_cell cells[LINE];
    size_t count = 0;
    uint32_t token = BM_EOS;
    bm_status status = BM_OK;
    if (*prompt && BM_TOKENIZER_BYTES)
        bm_tokenizer_encode(&s->tokenizer, (const uint8_t *)prompt, strlen(prompt), cells, LINE, ids, LINE, &count);
    bm_begin_episode(s);
    printf("bm: ");
    for (size_t i = 0; i < count + (size_t)n && status == BM_OK; i++) {
        size_t length = 0;
        status = bm_step(s, token);
        token = i < count ? ids[i] : bm_pick(s, &sampler);
        if (i >= count && token == BM_EOS) break;
        const uint8_t *text = BM_TOKENIZER_BYTES ? bm_tokenizer_decode(&s->tokenizer, token, &length) : NULL;
        if (text) fwrite(text, 1, length, stdout);
        else printf("%" PRIu32 " ", token);
        fflush(stdout);
    }
    printf("\n");
    return status;
}

/* Measured time of n steps, each with its choice of a token. */
static bm_status bench(bm_state *s, long n)
{
    uint32_t token = BM_EOS;
    bm_status status = BM_OK;
    bm_begin_episode(s);
    const int64_t since = esp_timer_get_time();
    for (long i = 0; i < n && status == BM_OK; i++) {
        status = bm_step(s, token);
        token = bm_pick(s, &sampler);
    }
    const double us = (double)(esp_timer_get_time() - since) / (double)n;
    printf("bm: %ld steps, %.1f us each, %.2f tokens/s (measured)\n", n, us, 1e6 / us);
    return status;
}

static bm_status step(bm_state *s, long token)
{
    const bm_status status = bm_step(s, (uint32_t)token);
    if (status == BM_OK) printf("bm: next %" PRIu32 "\n", bm_pick(s, &sampler));
    return status;
}

static bm_status execute(bm_state *s, char *line)
{
    char *rest = line + strcspn(line, " ");
    if (*rest) *rest++ = 0;
    char *end = rest;
    const long n = strtol(rest, &end, 10);
    const int number = end != rest && n >= 0 && n <= MOST_TOKENS;
    if (*end == ' ') end++;
    if (strcmp(line, "generate") == 0 && number && n > 0) return generate(s, n, end);
    if (strcmp(line, "bench") == 0 && number && n > 0) return bench(s, n);
    if (strcmp(line, "step") == 0 && number) return step(s, n);
    if (strcmp(line, "begin") == 0) {
        bm_begin_episode(s);
        say("ok");
    } else if (strcmp(line, "end") == 0) {
        const bm_status status = bm_end_episode(s);
        if (status == BM_OK) say("ok");
        return status;
    } else {
        say("commands: info, generate N [text], step ID, begin, end, bench N");
    }
    return BM_OK;
}

void espidf_console(bm_state *s, const char *why)
{
    static char line[LINE];
    bm_sampler_init(&sampler, 0.0f, 1, 0);
    if (uart_driver_install(UART_NUM_0, 2 * LINE, 0, 0, NULL, 0) != ESP_OK) {
        say("the UART cannot be used");
        return;
    }
    info(s, why);
    for (;;) {
        read_line(line);
        if (why || strcmp(line, "info") == 0) {
            info(s, why);
            continue;
        }
        const bm_status status = execute(s, line);
        if (status != BM_OK) say(bm_status_text(status));
    }
}
