/*
 * victim.h: a whole device whose line, clock, generator and flash are memory, and what must never happen to it.
 */
#ifndef VICTIM_H
#define VICTIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Power on with blank flash. */
void victim_boot(void);

/* The line delivers bytes. Every frame that comes back is checked: COBS, CRC, session, a reply's type. */
void victim_deliver(const uint8_t *bytes, size_t length);

/* So many milliseconds pass. */
void victim_wait(uint32_t milliseconds);

/* A checksum of everything that learning depends on: agent, generator, noise, flash. */
uint32_t victim_state(void);

/* Good requests so far that were executed, and good frames of any kind. */
uint32_t victim_executed(void);
uint32_t victim_good_frames(void);

/* A frame as a host would make it; returns its length. `frame` holds VICTIM_FRAME_BYTES. */
#define VICTIM_FRAME_BYTES 400u
size_t victim_frame(uint8_t *frame, uint8_t type, uint8_t sequence, uint16_t session, const uint8_t *payload,
                    size_t length);
uint16_t victim_session(void);

/* Where the firmware has a key: the AUTHORIZE that lets this request in, as its payload; false where it has none. */
#define VICTIM_AUTHORIZE_BYTES 20u
bool victim_authorize(uint8_t *authorize, uint8_t type, const uint8_t *payload, size_t length);

/* The bytes of the last reply, as they went over the line. */
const uint8_t *victim_reply(size_t *length);

/* Ends the program with a sentence. */
void victim_fail(const char *what);

#endif
