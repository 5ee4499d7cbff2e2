/* Logits on request. All numbers little-endian.
 *
 * commands (stdin)  'B'                       begin an episode
 *                   'I' float32[INPUTS][768]  set the image
 *                   'T' u32 token             step
 *                   'L'                       write the logits of the last step
 *                   'K'                       keep the state of the stream
 *                   'R'                       return to the state that was kept
 * answer (stdout)   float32 scale, int32[VOCAB] logits, for every 'L': float logit = logit * scale
 *
 * Several continuations of one text cost that text once: keep, continue, return, continue.
 */
#include "linux_score.h"

#include <stdio.h>
#include <string.h>

static bm_state kept;
static uint8_t kept_arena[BM_RAM_TOTAL];

static void write_logits(void *context, uint32_t first, const int32_t *acc, uint32_t n)
{
    (void)context, (void)first;
    fwrite(acc, sizeof *acc, n, stdout);
}

static const char *step(bm_state *s)
{
    uint8_t b[4];
    if (fread(b, 1, 4, stdin) != 4) return "a command is cut short";
    const uint32_t token = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    const bm_status status = bm_step(s, token);
    return status == BM_OK ? NULL : bm_status_text(status);
}

static const char *set_image(bm_state *s, float *features)
{
    const size_t n = BM_IMAGE_INPUTS * BM_VISION;
    if (fread(features, sizeof *features, n, stdin) != n) return "a command is cut short";
    const bm_status status = bm_set_image(s, features);
    return status == BM_OK ? NULL : bm_status_text(status);
}

const char *linux_score(bm_state *s, uint8_t *arena, float *features)
{
    const char *why = NULL;
    int has_logits = 0, has_kept = 0, kept_logits = 0;
    for (int command; !why && (command = getchar()) != EOF;) {
        switch (command) {
        case 'B': bm_begin_episode(s); has_logits = has_kept = 0; break;
        case 'I': why = set_image(s, features); break;
        case 'T': why = step(s); has_logits = 1; break;
        case 'K':
            kept = *s;
            memcpy(kept_arena, arena, sizeof kept_arena);
            has_kept = 1;
            kept_logits = has_logits;
            break;
        case 'R':
            if (!has_kept) return "there is no state to return to";
            *s = kept;
            memcpy(arena, kept_arena, sizeof kept_arena);
            has_logits = kept_logits;
            break;
        case 'L':
            if (!has_logits) return "there are no logits before the first step";
            fwrite(&s->logit_scale, sizeof s->logit_scale, 1, stdout);
            bm_logits(s, write_logits, NULL);
            break;
        default: why = "an unknown command";
        }
    }
    if (fflush(stdout) || ferror(stdout)) why = "the logits could not be written";
    return why;
}
