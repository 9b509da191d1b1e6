/*
 * serial_rings.c: drives the rings of nrl_serial.c with a line that takes nothing until it is told to.
 *
 *     serial_rings RECEIVED   so many bytes 0, 1, 2, ... come, then all are read: prints how many, and whether in order
 *     serial_rings -SENT      so many are written to a line that stalls: prints how many it gives once it goes again,
 *                             whether in order, and the milliseconds that the write waited
 */
#include <stdio.h>
#include <stdlib.h>

#include "nrl_port.h"
#include "nrl_serial.h"

static uint32_t now;
static uint8_t buffer[4096];

uint32_t nrl_port_milliseconds(void)
{
    return now++;
}

void nrl_serial_transmit(void)
{
}

static int in_order(size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        if (buffer[i] != (uint8_t)i) {
            return 0;
        }
    }
    return 1;
}

int main(int argc, char **argv)
{
    const long wanted = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    size_t count = 0;
    size_t part;

    if (wanted >= 0) {
        for (long i = 0; i < wanted; ++i) {
            nrl_serial_received((uint8_t)i);
        }
        while ((part = nrl_port_read(buffer + count, sizeof(buffer) - count)) != 0u) {
            count += part;
        }
        printf("%zu %d\n", count, in_order(count));
    } else {
        for (size_t i = 0; i < (size_t)-wanted; ++i) {
            buffer[i] = (uint8_t)i;
        }
        nrl_port_write(buffer, (size_t)-wanted);
        while (count < sizeof(buffer) && nrl_serial_next(&buffer[count])) {
            ++count;
        }
        printf("%zu %d %lu\n", count, in_order(count), (unsigned long)now);
    }
    return 0;
}
