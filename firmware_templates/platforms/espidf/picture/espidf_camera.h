/* SPDX-License-Identifier: MIT-0 */
/* The camera of the board, by Espressif's component esp32-camera. */
#ifndef ESPIDF_CAMERA_H
#define ESPIDF_CAMERA_H

#include "bitmar.h"

/* NULL, or why there are no pictures. */
const char *espidf_camera_start(void);

/* Begin an episode whose image is what the camera sees now. NULL, or why there is none. */
const char *espidf_camera_look(bm_state *s);

#endif
