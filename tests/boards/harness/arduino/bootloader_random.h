/* bootloader_random.h: of ESP-IDF, the two functions that mix the ADC's noise into the random number register. */
#ifndef BOOTLOADER_RANDOM_H
#define BOOTLOADER_RANDOM_H

void bootloader_random_enable(void);
void bootloader_random_disable(void);

#endif
