/* SPDX-License-Identifier: MIT-0 */
/* The board by itself: press its button, and it says what its camera sees; hold it for a second, and it asks for the name. */
#ifndef ESPIDF_BUTTON_H
#define ESPIDF_BUTTON_H

#include "bitmar.h"

/* Serve the button for ever, on the console. `why` is NULL, or the reason why the model did not start. */
void espidf_button(bm_state *s, const char *why);

#endif
