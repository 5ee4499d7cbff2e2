/* SPDX-License-Identifier: Apache-2.0 */
/* The PPM pictures of standard input, each as the square of argv[1] pixels that a model sees, raw; or why not. */
#include <stdlib.h>

#include "bitmar.h"
#include "linux_ppm.h"

int main(int argc, char **argv)
{
    static uint8_t rgb[BM_IMAGE_INPUTS * BM_VISION];
    const unsigned side = argc > 1 ? (unsigned)atoi(argv[1]) : 0u;
    int other = 0;
    while (fgetc(stdin) == 'P' && fgetc(stdin) == '6') {
        const char *wrong = linux_read_ppm(stdin, side, rgb, &other);
        if (wrong) {
            fprintf(stderr, "%s\n", wrong);
            return 2;
        }
        fwrite(rgb, 3, (size_t)side * side, stdout);
    }
    return 0;
}
