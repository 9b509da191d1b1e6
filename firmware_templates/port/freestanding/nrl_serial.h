/*
 * nrl_serial.h: the serial line of a port, without its registers: two rings between the program and an interrupt.
 *
 * nrl_serial.c implements nrl_port_read, nrl_port_write and nrl_port_write_room. The port's interrupt hands over what
 * came with nrl_serial_received and takes what goes with nrl_serial_next; nrl_cpu.h masks interrupts and waits.
 */
#ifndef NRL_SERIAL_H
#define NRL_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/* Of the port: give the transmitter bytes for as long as it takes some. Called with interrupts masked. */
void nrl_serial_transmit(void);

/* One byte came. It is lost where there is no room: the frame's CRC tells, and the host asks again. */
void nrl_serial_received(uint8_t byte);

/* The next byte to send. False: there is none. */
bool nrl_serial_next(uint8_t *byte);

/* Whether bytes wait to be sent. */
bool nrl_serial_pending(void);

#endif
