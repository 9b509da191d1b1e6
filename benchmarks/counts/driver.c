/*
 * driver.c: hands one call after the other to what is counted.
 *
 * The instrument stops the core at counted_next. There it fills counted_input and lets it go on, or takes the results.
 * What is counted is the function that counted_call calls, not this file.
 */
#include "counted.h"

counted_input_t counted_input;
uint32_t counted_crc32;
volatile int16_t counted_action;

void counted_next(void);
int main(void);

__attribute__((noinline, used)) void counted_next(void)
{
    /* Not an empty function to the compiler, and all memory may have changed. */
    __asm__ volatile("" ::: "memory");
}

int main(void)
{
    counted_prepare();
    for (;;) {
        counted_next();
        counted_action = (int16_t)counted_call(&counted_input);
        counted_crc32 = counted_input.last ? counted_weights_crc32() : 0u;
    }
}
