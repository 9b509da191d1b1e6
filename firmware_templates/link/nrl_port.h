/*
 * nrl_port.h: What the link and main need from a port. A port implements every function below, and holds every register;
 * nothing else does.
 */
#ifndef NRL_PORT_H
#define NRL_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Start clocks, the serial line and the entropy hardware. False: the port cannot run (and has said why, if it can). */
bool nrl_port_init(int argc, char **argv);

/* False when the program is to end; a microcontroller's never does. */
bool nrl_port_running(void);

/* Whether nrl_port_read would give bytes, or has other news of the line, without waiting. */
bool nrl_port_received(void);

/* Copy up to `room` received bytes. May wait for the first one, for at most a few tens of milliseconds; 0: none came. */
size_t nrl_port_read(uint8_t *bytes, size_t room);

/* Send all bytes, waiting as long as it takes. They are lost if nobody is connected; the host will ask again. */
void nrl_port_write(const uint8_t *bytes, size_t length);

/* Bytes that nrl_port_write would take now without waiting. */
size_t nrl_port_write_room(void);

/* A clock that runs on in milliseconds and wraps around at 2^32. */
uint32_t nrl_port_milliseconds(void);

/* A number that differs from boot to boot: random, or counted in non-volatile memory. */
uint16_t nrl_port_session(void);

/* Raw bytes from the hardware generator (of the type nrl_entropy_read_t). False: it failed or is not healthy. */
bool nrl_port_entropy_read(void *context, uint8_t *bytes, uint16_t length);

/* What is wrong with the hardware generator: nrl_trng_health_t of nrl_trng.h; 0: nothing. */
uint8_t nrl_port_entropy_health(void);

/* Start the hardware generator again, where that could mend it; whether it did shows at the next read. */
void nrl_port_entropy_restart(void);

#ifdef __cplusplus
}
#endif

#endif
