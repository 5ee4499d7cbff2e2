/* SPDX-License-Identifier: MIT-0 */
/* Pictures in files. */
#ifndef LINUX_PICTURE_H
#define LINUX_PICTURE_H

#include <stdio.h>

#include "bitmar.h"

/* Make the picture, patches or features in a file the image of `s`. Returns NULL, or what is wrong and how to mend it. */
const char *linux_read_image(const char *path, bm_state *s);

/* The same with the next PPM picture of a stream, or with the next vectors where the model takes those of a backbone.
 * none: there are no more bytes; what is returned says so.
 */
const char *linux_read_stream(FILE *f, bm_state *s, int *none);

/* Room for the features of an image. */
float *linux_features(void);

#endif
