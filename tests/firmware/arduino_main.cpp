/* SPDX-License-Identifier: Apache-2.0 */
/* A sketch on this computer: setup, and loop once. */
#include <stdio.h>

#include "Arduino.h"

HardwareSerial Serial;

void HardwareSerial::begin(unsigned long) {}
size_t HardwareSerial::write(const uint8_t *bytes, size_t n) { return fwrite(bytes, 1, n, stdout); }
size_t HardwareSerial::println(const char *text) { return puts(text) < 0 ? 0 : 1; }
void delay(unsigned long) {}

int main()
{
    setup();
    loop();
}
