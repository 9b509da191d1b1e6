/*
 * block_log.c: a hook of unicorn that writes down every block of instructions that runs, without a way through Python.
 */
#include <stdint.h>

typedef struct {
    uint32_t address;
    uint32_t bytes;
} block_t;

typedef struct {
    uint64_t count; /* blocks that ran; those beyond the capacity are not kept */
    uint64_t capacity;
    block_t *blocks;
} block_log_t;

void block_log_add(void *engine, uint64_t address, uint32_t bytes, void *user);

void block_log_add(void *engine, uint64_t address, uint32_t bytes, void *user)
{
    block_log_t *const log = user;

    (void)engine;
    if (log->count < log->capacity) {
        log->blocks[log->count].address = (uint32_t)address;
        log->blocks[log->count].bytes = bytes;
    }
    ++log->count;
}
