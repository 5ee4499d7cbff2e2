/* SPDX-License-Identifier: MIT-0 */
#include "espidf_button.h"

#include <stdio.h>
#include <string.h>

#include "driver/gpio.h"
#include "espidf_camera.h"
#include "espidf_pins.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#if BM_SHOW_ONCE
#include "espidf_console.h"
#include "bm_show.h"
#endif

#define LOOK_MS 20 /* between looks at the button, which bounces for less */
#define HOLD_MS 1000
#define MOST_TOKENS 24 /* of a caption */

/* -- the button ------------------------------------------------------------------------------------------------------- */

static void start_button(void)
{
    gpio_set_direction((gpio_num_t)BM_PIN_BUTTON, GPIO_MODE_INPUT);
    gpio_set_pull_mode((gpio_num_t)BM_PIN_BUTTON, GPIO_PULLUP_ONLY);
}

/* Whether it is down, some time later. */
static int is_down(void)
{
    vTaskDelay(pdMS_TO_TICKS(LOOK_MS));
    return gpio_get_level((gpio_num_t)BM_PIN_BUTTON) == 0;
}

/* Wait until the button goes down; 0 if it comes up again before it was held. */
static int wait_for_press(void)
{
    while (is_down()) {} /* from before */
    while (!is_down()) {}
    for (int ms = 0; ms < HOLD_MS; ms += LOOK_MS)
        if (!is_down()) return 0;
    return 1;
}

/* -- what it sees ----------------------------------------------------------------------------------------------------- */

/* Token by token, as they come. */
static const char *caption(bm_state *s)
{
    bm_sampler greedy;
    uint32_t token = BM_EOS;
    bm_status status = BM_OK;
    bm_sampler_init(&greedy, 0.0f, 1u, 0u);
    for (int i = 0; i < MOST_TOKENS && status == BM_OK; i++) {
        size_t length = 0;
        status = bm_step(s, token);
        token = bm_pick(s, &greedy);
        if (token == BM_EOS) break;
        const uint8_t *text = bm_tokenizer_decode(&s->tokenizer, token, &length);
        if (text) fwrite(text, 1, length, stdout);
        fflush(stdout);
    }
    putchar('\n');
    return status == BM_OK ? NULL : bm_status_text(status);
}

#if BM_SHOW_ONCE
static char text[BM_SHOW_TEXT];

/* What the memory knows of it. */
static const char *recall(bm_state *s)
{
    const bm_status status = bm_show_ask(s, text);
    if (status != BM_OK) return bm_status_text(status);
    if (strcmp(text, BM_WORDS_UNKNOWN) == 0) puts(text + 1);
    else printf("%s%s\n", BM_WORDS_PROMPT, text);
    return NULL;
}
#endif

static const char *tell(bm_state *s)
{
    const char *why = espidf_camera_look(s);
    if (why) return why;
#if BM_SHOW_ONCE
    if (s->memory_on) return recall(s);
#endif
    return caption(s);
}

/* -- what it is told -------------------------------------------------------------------------------------------------- */

#if BM_SHOW_ONCE
/* The picture of this episode is called `name`. It is rehearsed before it is written. */
static const char *learn(bm_state *s, const char *name)
{
    static bm_shown shown;
    static char why[160];
    char answer[BM_WORDS_ANSWER];
    size_t tokens = 0;
    bm_status status = bm_show_length(s, name, &tokens);
    if (status == BM_OK && tokens > BM_SHOW_TOKENS) return "too long a name; choose a shorter one";
    if (status == BM_OK) status = bm_show_episode(s, name, &shown);
    if (status == BM_OK) status = bm_show_recite(s, &shown, text);
    if (status != BM_OK) return bm_status_text(status);
    bm_words_answer(name, answer);
    if (strcmp(text, answer) != 0) {
        snprintf(why, sizeof why,
            "the model cannot keep this name: it would say '%.60s' in its place; choose another",
            text + (text[0] == ' '));
        return why;
    }
    status = bm_show_keep(s, &shown);
    if (status != BM_OK) return bm_status_text(status);
    bm_words_name(answer);
    printf("Taught: %s.\n", answer);
    return NULL;
}

/* The picture is taken first, so that nobody has to hold the thing while he types. */
static const char *teach(bm_state *s)
{
    static char line[BM_WORDS_NAME + 2u], name[BM_WORDS_NAME + 1u];
    if (!s->memory_on) return "nothing can be taught without the memory";
    if (!s->memory.rows.begin) return "nothing can be taught: this memory is read-only";
    const char *why = espidf_camera_look(s);
    if (why) return why;
    espidf_console_ask("Its name: ", line, sizeof line);
    why = bm_words_check(line, name);
    return why ? why : learn(s, name);
}
#else
static const char *teach(bm_state *s)
{
    (void)s;
    return "this program teaches nothing; a model with a keyed memory in a store can be taught";
}
#endif

void espidf_button(bm_state *s, const char *why)
{
    if (!why) why = espidf_camera_start();
    start_button();
    puts(why ? why : "Press the button to read what it is. Hold it for a second to teach a name.");
    for (;;) {
        const int held = wait_for_press();
        const char *trouble = why ? why : held ? teach(s) : tell(s);
        if (trouble) puts(trouble);
    }
}
