/* SPDX-License-Identifier: MIT-0 */
/* A file becomes an image: .u8 are raw patches, .f32 raw float features; of all others the first bytes say what they are. */
#include "linux_picture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bm_patches.h"
#include "linux_ppm.h"

#define HEAD 16u /* bytes that say what a file is */
/* Transparency is laid on white, as bitmar-tiny does. */
#define CONVERT "'convert FILE -background white -flatten -depth 8 picture.ppm' of ImageMagick"

static float features[BM_IMAGE_INPUTS * BM_VISION];
static uint8_t patches[BM_IMAGE_INPUTS * BM_VISION], square[BM_IMAGE_INPUTS * BM_VISION];
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

float *linux_features(void) { return features; }

/* `what` is wrong; and what the program reads. */
static const char *take(const char *what)
{
    snprintf(why, sizeof why, "%s; %s", what,
        BM_SEES_VECTORS ? "this model sees through a backbone: 'python3 -m features FILE -o -' makes vectors"
        : bm_picture_side() ? "this program reads a PPM: " CONVERT " makes one"
                            : "it reads features (.f32), which 'bitmar-tiny features' makes");
    return why;
}

/* A P6 picture, behind these two letters -> patches, the finest grid first. */
static const char *read_picture(FILE *f)
{
    const unsigned side = bm_picture_side();
    int other = 0;
    if (!side) return take("a PPM picture");
    const char *wrong = linux_read_ppm(f, side, square, &other);
    if (wrong) return other ? take(wrong) : wrong;
    bm_patches(square, patches);
    return NULL;
}

/* That this is a picture of a kind that the program does not read; NULL if none begins so. */
static const char *name_picture(const uint8_t *data, size_t bytes)
{
    char what[48];
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (bytes >= formats[i].skip + formats[i].length &&
            memcmp(data + formats[i].skip, formats[i].begin, formats[i].length) == 0) {
            snprintf(what, sizeof what, "a file of kind %s", formats[i].name);
            return take(what);
        }
    return NULL;
}

/* What a file is that this program does not read. */
static const char *name_format(const uint8_t *data, size_t bytes)
{
    char what[48];
    const char *picture = name_picture(data, bytes);
    if (picture) return picture;
    if (bytes >= 2u && data[0] == 'P' && data[1] >= '1' && data[1] <= '7') {
        snprintf(what, sizeof what, "a picture of kind P%c, not P6", data[1]);
        return take(what);
    }
    return take(bytes ? BM_SEES_VECTORS ? "no .f32 file" : "neither .ppm, .u8 nor .f32" : "an empty file");
}

/* A file of raw patches or features, which has just so many bytes. */
static const char *read_raw(FILE *f, int is_features)
{
    const size_t room = is_features ? sizeof features : sizeof patches,
                 bytes = fread(is_features ? (void *)features : (void *)patches, 1, room, f);
    const int more = bytes == room && fgetc(f) != EOF;
    if (ferror(f)) return strerror(errno);
    if (bytes < room) return is_features ? "the features are cut short" : "the patches are cut short";
    if (!more) return NULL;
    return is_features ? "too many features for this model" : "too many patches for this model";
}

/* The picture that the next bytes are; none: there are no more bytes. */
static const char *read_next(FILE *f, int *none)
{
    uint8_t head[HEAD];
    size_t bytes = fread(head, 1, 3, f);
    *none = bytes == 0 && !ferror(f);
    if (bytes == 3u && memcmp(head, "P6", 2) == 0 && head[2] && strchr(" \t\n\v\f\r#", head[2])) {
        ungetc(head[2], f);
        return read_picture(f);
    }
    bytes += fread(head + bytes, 1, sizeof head - bytes, f);
    return ferror(f) ? strerror(errno) : name_format(head, bytes);
}

static const char *show(bm_state *s, int is_features)
{
    const bm_status status = is_features ? bm_set_image(s, features)
                                         : bm_set_image_pixels(s, patches, features);
    return status == BM_OK ? NULL : bm_status_text(status);
}

const char *linux_read_image(const char *path, bm_state *s)
{
    const char *dot = strrchr(path, '.');
    const int is_features = dot && strcmp(dot, ".f32") == 0,
              is_raw = !BM_SEES_VECTORS && dot && strcmp(dot, ".u8") == 0;
    int none;
    FILE *f = fopen(path, "rb");
    if (!f) return strerror(errno);
    const char *wrong = is_features || is_raw ? read_raw(f, is_features) : read_next(f, &none);
    fclose(f);
    return wrong ? wrong : show(s, is_features);
}

/* The vectors that the next bytes are. Those of a backbone hold float16 values, so their first byte is 0, and of no picture. */
static const char *read_vectors(FILE *f, int *none)
{
    uint8_t *data = (uint8_t *)features;
    const size_t room = sizeof features, bytes = fread(data, 1, room, f);
    *none = bytes == 0 && !ferror(f);
    if (ferror(f)) return strerror(errno);
    if (bytes >= 4u && data[0] != 0) {
        if (memcmp(data, "P6", 2) == 0 && strchr(" \t\n\v\f\r#", data[2])) return take("a PPM picture");
        const char *picture = name_picture(data, bytes < HEAD ? bytes : HEAD);
        if (picture) return picture;
    }
    return bytes == room ? NULL : take(bytes ? "the features are cut short" : "no features");
}

const char *linux_read_stream(FILE *f, bm_state *s, int *none)
{
    const char *wrong = BM_SEES_VECTORS ? read_vectors(f, none) : read_next(f, none);
    return wrong ? wrong : show(s, BM_SEES_VECTORS);
}
