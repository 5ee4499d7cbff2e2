/* SPDX-License-Identifier: MIT-0 */
#include "linux_ppm.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "bm_scale.h"

#define MOST_SIDE 16384u       /* pixels along a side */
#define MOST_PIXELS 50000000u  /* as bitmar-tiny reads */

static uint8_t row[MOST_SIDE * 3u];
static int32_t weights[2][BM_SCALE_WEIGHTS(MOST_SIDE)];
static bm_scale scale = {.across = {.weights = weights[0]}, .down = {.weights = weights[1]}};
static char what[80];

static int is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* What comes behind spaces and comments (# to the end of the line). */
static int next_word(FILE *f)
{
    int c = fgetc(f);
    while (is_space(c) || c == '#') {
        if (c == '#')
            while (c != '\n' && c != '\r' && c != EOF) c = fgetc(f);
        if (c != EOF) c = fgetc(f);
    }
    return c;
}

/* The next number of a header, UINT_MAX if it is larger; -1 if there is none. What follows stays unread. */
static int next_number(FILE *f, unsigned *out)
{
    int c = next_word(f);
    if (c < '0' || c > '9') return -1;
    for (*out = 0; c >= '0' && c <= '9'; c = fgetc(f))
        *out = *out > (UINT_MAX - 9u) / 10u ? UINT_MAX : *out * 10u + (unsigned)(c - '0');
    ungetc(c, f);
    return 0;
}

static const char *check(unsigned width, unsigned height, unsigned depth, int *other)
{
    *other = 1;
    if (width == UINT_MAX || height == UINT_MAX || depth == UINT_MAX)
        return "a number in its header is too large";
    if (depth != 255u) {
        snprintf(what, sizeof what, "its colours reach to %u, not 255", depth);
        return what;
    }
    *other = 0;
    if (width == 0 || height == 0) {
        snprintf(what, sizeof what, "a picture of no pixels, %u x %u", width, height);
        return what;
    }
    if (width <= MOST_SIDE && height <= MOST_SIDE && width * height <= MOST_PIXELS) return NULL;
    snprintf(what, sizeof what, "%u x %u pixels, more than this program reads", width, height);
    return what;
}

const char *linux_read_ppm(FILE *f, unsigned side, uint8_t *rgb, int *other)
{
    unsigned width = 0, height = 0, depth = 0;
    *other = 0;
    if (next_number(f, &width) || next_number(f, &height) || next_number(f, &depth))
        return ferror(f) ? strerror(errno) : "its header is no PPM header";
    const char *wrong = check(width, height, depth, other);
    if (wrong) return wrong;
    int c = fgetc(f);
    if (c == '#') /* a comment in the place of the one space before the pixels */
        while (c != '\n' && c != EOF) c = fgetc(f);
    if (!is_space(c) && c != EOF) return "its header is no PPM header";
    bm_scale_begin(&scale, width, height, side);
    for (unsigned y = 0; y < height; y++) {
        if (fread(row, 3, width, f) != width) return ferror(f) ? strerror(errno) : "the picture is cut short";
        bm_scale_row(&scale, row);
    }
    bm_scale_end(&scale, rgb);
    return NULL;
}
