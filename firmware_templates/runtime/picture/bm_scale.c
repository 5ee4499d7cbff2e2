/* SPDX-License-Identifier: MIT-0 */
/* Resampling is two sums of products, along the rows and then along the columns, with a rounding to 8 bits between them. The weights
 * of an output pixel are the filter where the input pixels lie, divided by their sum, in steps of 2^-22.
 *
 * Bounds: a pixel's weights add up to 1 and what is negative among them to more than -0.4, so that every partial sum of weights
 * lies in -0.4 .. 1.4 and 1.4 * 255 * 2^22 < 2^31.
 */
#include "bm_scale.h"

#include <string.h>

#define REACH 3.0 /* of the filter, in pixels of the smaller picture */
#define BITS 22
#define PI 3.14159265358979323846

/* sin(pi x) for |x| < 4: of the distance to the nearest integer, by its series. */
static double sin_pi(double x)
{
    int n = (int)(x < 0 ? x - 0.5 : x + 0.5);
    const double r = PI * (x - n), square_of = r * r;
    double term = r, sum = r;
    for (int k = 2; k < 26; k += 2) {
        term *= -square_of / (double)(k * (k + 1));
        sum += term;
    }
    return n % 2 ? -sum : sum;
}

static double sinc(double x) { return x == 0 ? 1.0 : sin_pi(x) / (PI * x); }

/* Lanczos' filter, three lobes a side. */
static double filter(double x) { return x >= -REACH && x < REACH ? sinc(x) * sinc(x / REACH) : 0.0; }

/* To the nearest integer, halves to the even one. */
static unsigned nearest(double x)
{
    const unsigned n = (unsigned)x;
    const double rest = x - n;
    return rest > 0.5 || (rest == 0.5 && n % 2u) ? n + 1u : n;
}

static int32_t in_steps(double weight)
{
    const double steps = weight * (double)(1 << BITS);
    return (int32_t)(steps < 0 ? steps - 0.5 : steps + 0.5);
}

static void plan(bm_scale_direction *d, unsigned from, unsigned to, unsigned side)
{
    const double scale = to ? (double)from / to : 1.0, wide = scale > 1.0 ? scale : 1.0;
    unsigned next = 0;
    d->at = nearest((side - to) * 0.5);
    if (d->from == from && d->to == to) return; /* as the picture before, whose weights are there */
    d->from = from;
    d->to = to;
    for (unsigned i = 0; i < to; i++) {
        const double centre = (i + 0.5) * scale, low = centre - REACH * wide + 0.5,
                     high = centre + REACH * wide + 0.5;
        const unsigned first = low > 0 ? (unsigned)low : 0u, end = high < from ? (unsigned)high : from;
        double sum = 0;
        for (unsigned k = first; k < end; k++) sum += filter((k - centre + 0.5) * (1.0 / wide));
        d->first[i] = first;
        d->count[i] = end - first;
        d->begin[i] = next;
        for (unsigned k = first; k < end; k++)
            d->weights[next++] = in_steps(filter((k - centre + 0.5) * (1.0 / wide)) / sum);
    }
}

void bm_scale_begin(bm_scale *s, unsigned width, unsigned height, unsigned side)
{
    const double of_width = (double)width / height, of_height = (double)height / width;
    plan(&s->across, width, width < height ? nearest(of_width * side) : side, side);
    plan(&s->down, height, height < width ? nearest(of_height * side) : side, side);
    s->square = side;
    s->rows = 0;
    for (size_t i = 0; i < (size_t)s->down.to * s->across.to * 3u; i++) s->sums[i] = 1 << (BITS - 1);
}

static uint8_t to_byte(int32_t sum)
{
    if (sum < 0) return 0;
    return (uint8_t)(sum >> BITS > 255 ? 255 : sum >> BITS);
}

static void resample_across(bm_scale *s, const uint8_t *rgb)
{
    const bm_scale_direction *d = &s->across;
    for (unsigned i = 0; i < d->to; i++) {
        const int32_t *w = d->weights + d->begin[i];
        const uint8_t *p = rgb + 3u * d->first[i];
        int32_t sum[3] = {1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1)};
        for (unsigned k = 0; k < d->count[i]; k++)
            for (unsigned c = 0; c < 3u; c++) sum[c] += w[k] * p[3u * k + c];
        for (unsigned c = 0; c < 3u; c++) s->narrow[3u * i + c] = to_byte(sum[c]);
    }
}

void bm_scale_row(bm_scale *s, const uint8_t *rgb)
{
    const bm_scale_direction *d = &s->down;
    const unsigned y = s->rows++, n = 3u * s->across.to;
    resample_across(s, rgb);
    for (unsigned i = 0; i < d->to; i++) {
        if (y < d->first[i] || y - d->first[i] >= d->count[i]) continue;
        const int32_t w = d->weights[d->begin[i] + y - d->first[i]];
        int32_t *sum = s->sums + (size_t)i * n;
        for (unsigned k = 0; k < n; k++) sum[k] += w * s->narrow[k];
    }
}

void bm_scale_end(const bm_scale *s, uint8_t *rgb)
{
    const unsigned n = 3u * s->across.to;
    memset(rgb, 255, (size_t)s->square * s->square * 3u);
    for (unsigned i = 0; i < s->down.to; i++)
        for (unsigned k = 0; k < n; k++)
            rgb[((size_t)(s->down.at + i) * s->square + s->across.at) * 3u + k] = to_byte(
                s->sums[(size_t)i * n + k]);
}
