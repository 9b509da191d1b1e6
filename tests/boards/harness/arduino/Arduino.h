/*
 * Arduino.h: as much of Arduino's interface as the port uses, without an implementation: it compiles against this for every
 * core. What the real one does, the Uno's shows.
 */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>

class SerialPort {
  public:
    void begin(unsigned long baud);
    int available();
    int read();
    int availableForWrite();
    size_t write(const uint8_t *bytes, size_t length);
};

extern SerialPort Serial;

extern "C" {
unsigned long millis(void);
unsigned long micros(void);
void delay(unsigned long milliseconds);
void yield(void);
void setup(void);
void loop(void);
}

#endif
