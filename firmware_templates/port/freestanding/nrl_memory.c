/*
 * nrl_memory.c: the four functions that a compiler calls by itself, for programs without a C library.
 */
#include <stddef.h>
#include <stdint.h>

/* Without this a compiler turns the loops below into calls of the very functions that they are. */
#define NRL_PLAIN_LOOPS __attribute__((used, optimize("no-tree-loop-distribute-patterns")))

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *left, const void *right, size_t length);

NRL_PLAIN_LOOPS void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    uint8_t *target = to;
    const uint8_t *source = from;

    for (size_t i = 0; i < length; ++i) {
        target[i] = source[i];
    }
    return to;
}

NRL_PLAIN_LOOPS void *memmove(void *to, const void *from, size_t length)
{
    uint8_t *target = to;
    const uint8_t *source = from;

    if (target < source) {
        for (size_t i = 0; i < length; ++i) {
            target[i] = source[i];
        }
    } else {
        for (size_t i = length; i != 0; --i) {
            target[i - 1] = source[i - 1];
        }
    }
    return to;
}

NRL_PLAIN_LOOPS void *memset(void *to, int value, size_t length)
{
    uint8_t *target = to;

    for (size_t i = 0; i < length; ++i) {
        target[i] = (uint8_t)value;
    }
    return to;
}

NRL_PLAIN_LOOPS int memcmp(const void *left, const void *right, size_t length)
{
    const uint8_t *first = left;
    const uint8_t *second = right;

    for (size_t i = 0; i < length; ++i) {
        if (first[i] != second[i]) {
            return first[i] < second[i] ? -1 : 1;
        }
    }
    return 0;
}
