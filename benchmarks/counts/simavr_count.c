/*
 * simavr_count.c: runs a counted image on an AVR chip of libsimavr and logs every straight run of instructions.
 *
 *     simavr_count MCU IMAGE STREAM LOG NEXT INPUT INPUT_BYTES RESULT ENTRY RAM_END
 *
 * STREAM holds the calls as driver.c takes them, INPUT_BYTES each. The chip is stopped at NEXT, where they are written
 * to INPUT one after the other. LOG gets, for each call, the blocks from ENTRY, the function that is counted, to its
 * return: a uint32 with their number, then for each its byte address and its cycles as uint32. In the end the uint32
 * at RESULT is printed. RAM_END is the last address of RAM, which may be more than the
 * chip has. Addresses are in bytes, decimal; those of data without avr-gcc's offset of 0x800000.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>

typedef struct {
    uint32_t address;
    uint32_t cycles;
} block_t;

static struct {
    block_t *blocks;
    uint32_t count;
    uint32_t capacity;
} record;

static void quiet_logger(avr_t *avr, const int level, const char *format, va_list arguments)
{
    (void)avr;
    if (level <= LOG_ERROR) {
        vfprintf(stderr, format, arguments);
    }
}

static bool add_block(uint32_t address)
{
    if (record.count == record.capacity) {
        const uint32_t capacity = record.capacity * 2u + 4096u;
        block_t *const larger = realloc(record.blocks, capacity * sizeof *larger);

        if (larger == NULL) {
            return false;
        }
        record.blocks = larger;
        record.capacity = capacity;
    }
    record.blocks[record.count].address = address;
    record.blocks[record.count].cycles = 0;
    ++record.count;
    return true;
}

static unsigned stack_pointer(const avr_t *avr)
{
    return (unsigned)avr->data[R_SPL] | (unsigned)avr->data[R_SPH] << 8;
}

/* Until the program is at `stop` again. */
static bool run_to(avr_t *avr, uint32_t stop, uint32_t entry)
{
    bool counting = false;
    bool block_is_open = false;
    unsigned stack_at_entry = 0;
    uint32_t back = 0; /* where the counted function returns to */

    record.count = 0;
    do {
        const uint32_t before = avr->pc;
        const avr_cycle_count_t cycle = avr->cycle;
        uint32_t length;

        if (!counting && before == entry) {
            counting = true;
            stack_at_entry = stack_pointer(avr);
            back = 2u * ((uint32_t)avr->data[stack_at_entry + 1u] << 8 | avr->data[stack_at_entry + 2u]);
        }
        if (counting && !block_is_open && !add_block(before)) {
            return false;
        }
        block_is_open = counting;
        avr_run(avr);
        if (avr->state != cpu_Running) {
            return false;
        }
        length = avr->pc - before;
        if (counting) {
            record.blocks[record.count - 1].cycles += (uint32_t)(avr->cycle - cycle);
            /* A jump, or a skip that looks like one. */
            if (length != 2u && length != 4u) {
                block_is_open = false;
            }
            /* Of a stack pointer alone nothing follows: while a frame is made, one half of it is new and one old. */
            if (avr->pc == back && stack_pointer(avr) == stack_at_entry + 2u) {
                counting = false;
                block_is_open = false;
            }
        }
    } while (avr->pc != stop);
    return true;
}

int main(int argc, char **argv)
{
    elf_firmware_t firmware;
    avr_t *avr;
    FILE *stream;
    FILE *log;
    uint32_t numbers[6];
    uint8_t input[512];
    uint32_t result;

    if (argc != 11) {
        fprintf(stderr, "usage: %s MCU IMAGE STREAM LOG NEXT INPUT INPUT_BYTES RESULT ENTRY RAM_END\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < 6; ++i) {
        numbers[i] = (uint32_t)strtoul(argv[5 + i], NULL, 10);
    }
    avr_global_logger_set(quiet_logger);
    memset(&firmware, 0, sizeof firmware);
    stream = fopen(argv[3], "rb");
    log = fopen(argv[4], "wb");
    avr = avr_make_mcu_by_name(argv[1]);
    if (elf_read_firmware(argv[2], &firmware) != 0 || stream == NULL || log == NULL || avr == NULL ||
        numbers[2] > sizeof input) {
        fprintf(stderr, "cannot run %s on %s\n", argv[2], argv[1]);
        return 1;
    }
    /* Memory is allocated by this. */
    avr->ramend = (uint16_t)numbers[5];
    avr_init(avr);
    firmware.frequency = 16000000;
    avr_load_firmware(avr, &firmware);
    /* One instruction at a time. */
    avr->run_cycle_limit = 1;
    avr->run_cycle_count = 1;
    do {
        avr_run(avr);
    } while (avr->pc != numbers[0] && avr->state == cpu_Running);
    while (fread(input, numbers[2], 1, stream) == 1) {
        memcpy(avr->data + numbers[1], input, numbers[2]);
        if (!run_to(avr, numbers[0], numbers[4])) {
            fprintf(stderr, "the program crashed at address 0x%05x\n", (unsigned)avr->pc);
            return 1;
        }
        if (fwrite(&record.count, sizeof record.count, 1, log) != 1 ||
            fwrite(record.blocks, sizeof *record.blocks, record.count, log) != record.count) {
            perror(argv[4]);
            return 1;
        }
    }
    memcpy(&result, avr->data + numbers[3], sizeof result);
    printf("%lu\n", (unsigned long)result);
    fclose(stream);
    return fclose(log) == 0 ? 0 : 1;
}
