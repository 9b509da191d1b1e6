/*
 * counted.h: what driver.c and what is counted have in common. COUNTED_INPUTS comes from the command line.
 */
#ifndef COUNTED_H
#define COUNTED_H

#include <stdint.h>

/* One call, as the instrument writes it: no padding on any core. */
typedef struct {
    int32_t reward;
    uint8_t terminated;
    uint8_t truncated;
    uint8_t last; /* the CRC of the weights is wanted after this call */
    uint8_t unused;
    int16_t observation[COUNTED_INPUTS];
} counted_input_t;

void counted_prepare(void);
int counted_call(const counted_input_t *input);
uint32_t counted_weights_crc32(void);

#endif
