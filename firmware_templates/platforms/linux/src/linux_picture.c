/* SPDX-License-Identifier: MIT-0 */
/* A file becomes an image: .u8 are raw patches, .f32 raw float features; of all others the first bytes say what they are. */
#include "linux_picture.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PATCH 16u
#define PATCH_BYTES (PATCH * PATCH * 3u)
/* Fits a picture into a square of WIDTHxHEIGHT on white, as bitmar-tiny does. */
#define CONVERT \
    "'convert FILE -background white -flatten -resize %ux%u -gravity center -extent %ux%u -depth 8 picture.ppm' " \
    "of ImageMagick"

static float features[BM_IMAGE_INPUTS * BM_VISION]; /* also the bytes of the file as they are */
static uint8_t patches[BM_IMAGE_INPUTS * BM_VISION];
static char why[320];

static const struct {
    const char *name, *begin;
    size_t skip, length; /* where it begins, and how many bytes */
} formats[] = {
    {"PNG", "\x89PNG", 0, 4},
    {"JPEG", "\xff\xd8\xff", 0, 3},
    {"GIF", "GIF8", 0, 4},
    {"WebP", "WEBP", 8, 4},
    {"BMP", "BM", 0, 2},
    {"TIFF", "II*", 0, 4},
    {"TIFF", "MM\0*", 0, 4},
    {"HEIF or AVIF", "ftyp", 4, 4},
    {"SVG", "<svg", 0, 4},
    {"SVG", "<?xml", 0, 5},
};

/* Side of the picture whose grid of 16x16 patches, or pyramid of such grids, makes the vectors of an image; 0 if none does. */
static unsigned find_side(int *pyramid)
{
    const unsigned inputs = BM_IMAGE_INPUTS;
    unsigned sum = 1, grid = 1;
    for (*pyramid = 0; grid * grid <= inputs; grid++)
        if (grid * grid == inputs) return PATCH * grid;
    for (*pyramid = 1, grid = 1; sum < inputs;) {
        grid *= 2u;
        sum += grid * grid;
    }
    return sum == inputs ? PATCH * grid : 0u;
}

unsigned linux_picture_side(void)
{
    int pyramid;
    return find_side(&pyramid);
}

float *linux_features(void) { return features; }

/* rgb [side][side][3] -> patches, row by row; returns where the next ones go. */
static uint8_t *cut(const uint8_t *rgb, unsigned side, uint8_t *out)
{
    for (unsigned gy = 0; gy < side; gy += PATCH)
        for (unsigned gx = 0; gx < side; gx += PATCH)
            for (unsigned y = 0; y < PATCH; y++, out += 48)
                memcpy(out, rgb + ((gy + y) * side + gx) * 3u, 48);
    return out;
}

/* Average 2x2 pixels in place, halves up. */
static void halve(uint8_t *rgb, unsigned side)
{
    for (unsigned y = 0; y < side; y += 2u)
        for (unsigned x = 0; x < side; x += 2u)
            for (unsigned c = 0; c < 3u; c++) {
                const uint8_t *p = rgb + (y * side + x) * 3u + c, *q = p + side * 3u;
                rgb[(y / 2u * (side / 2u) + x / 2u) * 3u + c] = (uint8_t)((p[0] + p[3] + q[0] + q[3] + 2) /
                                                                          4);
            }
}

static int is_space(uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The next number of a header, behind spaces and comments (# to the end of the line), UINT_MAX if it is larger; NULL if there is
 * none. */
static const uint8_t *next_number(const uint8_t *p, const uint8_t *end, unsigned *out)
{
    while (p < end && (is_space(*p) || *p == '#'))
        if (*p++ == '#')
            while (p < end && *p != '\n' && *p != '\r') p++;
    const uint8_t *first = p;
    for (*out = 0; p < end && *p >= '0' && *p <= '9'; p++)
        *out = *out > (UINT_MAX - 9u) / 10u ? UINT_MAX : *out * 10u + (unsigned)(*p - '0');
    return p > first ? p : NULL;
}

/* `what` is wrong; and what the program reads. */
static const char *take(const char *what)
{
    const unsigned side = linux_picture_side();
    if (side)
        snprintf(why, sizeof why, "%s; this program reads a PPM of %u x %u pixels: " CONVERT " makes one",
            what, side, side, side, side, side, side);
    else snprintf(why, sizeof why, "%s; it reads features (.f32), which 'bitmar-tiny features' makes", what);
    return why;
}

/* A P6 picture -> patches, the finest grid first. */
static const char *read_ppm(uint8_t *data, size_t bytes)
{
    const uint8_t *end = data + bytes, *p = data + 2;
    unsigned width = 0, height = 0, depth = 0;
    int pyramid = 0;
    unsigned side = find_side(&pyramid);
    char what[80];
    if (!side) return take("a PPM picture");
    if (!(p = next_number(p, end, &width)) || !(p = next_number(p, end, &height)) ||
        !(p = next_number(p, end, &depth)))
        return "its header is no PPM header";
    if (width == UINT_MAX || height == UINT_MAX || depth == UINT_MAX)
        return take("a number in its header is too large");
    if (depth != 255u) {
        snprintf(what, sizeof what, "its colours reach to %u, not 255", depth);
        return take(what);
    }
    if (width != side || height != side) {
        snprintf(what, sizeof what, "the picture has the wrong size, %u x %u", width, height);
        return take(what);
    }
    if (p < end && *p == '#') /* a comment in the place of the one space before the pixels */
        while (p < end && *p != '\n') p++;
    if ((size_t)(end - p) < (size_t)1 + (size_t)side * side * 3u) return "the picture is cut short";
    uint8_t *rgb = data + (p + 1 - data), *next = cut(rgb, side, patches);
    for (; pyramid && side > PATCH; side /= 2u) {
        halve(rgb, side);
        next = cut(rgb, side / 2u, next);
    }
    return NULL;
}

/* What a file is that this program does not read. */
static const char *name_format(const uint8_t *data, size_t bytes)
{
    char what[48];
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (bytes >= formats[i].skip + formats[i].length &&
            memcmp(data + formats[i].skip, formats[i].begin, formats[i].length) == 0) {
            snprintf(what, sizeof what, "a file of kind %s", formats[i].name);
            return take(what);
        }
    if (bytes >= 2u && data[0] == 'P' && data[1] >= '1' && data[1] <= '7') {
        snprintf(what, sizeof what, "a picture of kind P%c, not P6", data[1]);
        return take(what);
    }
    return take(bytes ? "neither .ppm, .u8 nor .f32" : "an empty file");
}

static const char *read_data(FILE *f, const char *suffix, int *is_features)
{
    uint8_t *data = (uint8_t *)features;
    const size_t bytes = fread(data, 1, sizeof features, f);
    const int more = bytes == sizeof features && fgetc(f) != EOF;
    if (ferror(f)) return strerror(errno);
    *is_features = strcmp(suffix, ".f32") == 0;
    if (*is_features && bytes != sizeof features) return "the features are cut short";
    if (*is_features) return more ? "too many features for this model" : NULL;
    if (strcmp(suffix, ".u8") == 0) {
        if (bytes < sizeof patches) return "the patches are cut short";
        if (bytes > sizeof patches) return "too many patches for this model";
        memcpy(patches, data, sizeof patches);
        return NULL;
    }
    if (bytes >= 3u && memcmp(data, "P6", 2) == 0 && (is_space(data[2]) || data[2] == '#'))
        return read_ppm(data, bytes);
    return name_format(data, bytes);
}

const char *linux_read_image(const char *path, bm_state *s)
{
    const char *dot = strrchr(path, '.');
    int is_features = 0;
    FILE *f = fopen(path, "rb");
    if (!f) return strerror(errno);
    const char *wrong = read_data(f, dot ? dot : "", &is_features);
    fclose(f);
    if (wrong) return wrong;
    const bm_status status = is_features ? bm_set_image(s, features)
                                         : bm_set_image_pixels(s, patches, features);
    return status == BM_OK ? NULL : bm_status_text(status);
}
