/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of standard input, each width and height in 16 bits and its pixels, as the patches that a model takes. */
#include <stdio.h>

#include "espidf_frame.h"

int main(void)
{
    static uint8_t pixels[400 * 400 * 2];
    static espidf_frame frame;
    uint16_t sides[2];
    while (fread(sides, sizeof sides, 1, stdin) == 1) {
        if (fread(pixels, 2u * sides[0], sides[1], stdin) != sides[1]) return 2;
        espidf_frame_take(&frame, pixels, sides[0], sides[1]);
        fwrite(frame.patches, 1, sizeof frame.patches, stdout);
    }
    return 0;
}
