/*
 * link_echo.c: the yardstick of the link. It sends back every frame as it came, through the very port that the firmware
 * uses, without decoding, checking or learning anything.
 */
#include "nrl_port.h"

#define LARGEST_CODED_FRAME 256u

int main(int argc, char **argv)
{
    static uint8_t frame[LARGEST_CODED_FRAME];
    size_t length = 0;

    if (!nrl_port_init(argc, argv)) {
        return 1;
    }
    while (nrl_port_running()) {
        length += nrl_port_read(frame + length, sizeof(frame) - length);
        if (length != 0 && (frame[length - 1] == 0 || length == sizeof(frame))) {
            nrl_port_write(frame, length);
            length = 0;
        }
    }
    return 0;
}
