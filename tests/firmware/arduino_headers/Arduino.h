/* SPDX-License-Identifier: Apache-2.0 */
/* What a sketch of ours takes from Arduino, as its reference declares it (docs.arduino.cc/language-reference). */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>

class HardwareSerial
{
  public:
    void begin(unsigned long baud);
    size_t write(const uint8_t *bytes, size_t n);
    size_t println(const char *text);
};

extern HardwareSerial Serial;
void delay(unsigned long ms);
void setup();
void loop();

#endif
