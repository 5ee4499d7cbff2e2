/* SPDX-License-Identifier: MIT-0 */
/* Binary PPM pictures (P6), in a file or one after the other in a stream, of any size. */
#ifndef LINUX_PPM_H
#define LINUX_PPM_H

#include <stdint.h>
#include <stdio.h>

/* Read what follows the "P6" of a picture; it is scaled to side x side pixels: rgb [side][side][3]. Returns NULL, or what is wrong.
 * other: set where the picture is whole for all one knows, but of another kind than this program reads. */
const char *linux_read_ppm(FILE *f, unsigned side, uint8_t *rgb, int *other);

#endif
