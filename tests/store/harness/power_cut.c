/*
 * power_cut.c: cuts the power at every write and every erase of a save, twice in a row, and looks at what a start finds.
 *
 * The memory is an array that behaves as flash (or, where NRL_NVM_PAGE_BYTES is 1, as an EEPROM). An operation is one
 * word written or one page erased; the power goes before it, in the middle of it in several ways, or right behind it.
 * Prints "cuts N boots N" and returns 0, or says what went wrong and returns 1.
 */
#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nrl_agent.h"
#include "nrl_nvm.h"
#include "nrl_port.h"
#include "nrl_store.h"

/* How an operation is broken off. */
enum { NOT_AT_ALL, SOME_BITS, OTHER_BITS, FIRST_HALF, ENTIRELY, WAYS };

#define NEVER UINT32_MAX

static uint8_t memory[NRL_STORE_BYTES];
static uint32_t operations;
static uint32_t cut_at = NEVER;
static unsigned cut_way;
static jmp_buf power_lost;
static uint32_t random_state = 12345u;
static uint32_t milliseconds;
static unsigned long cuts;
static unsigned long boots;

static uint8_t random_byte(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint8_t)(random_state >> 24);
}

uint32_t nrl_port_milliseconds(void)
{
    return milliseconds++;
}

void nrl_port_nvm_read(uint32_t offset, uint8_t *bytes, uint16_t length)
{
    if (offset > sizeof(memory) || length > sizeof(memory) - offset) {
        abort();
    }
    memcpy(bytes, memory + offset, length);
}

/* Take `target` to `after`, or a part of the way if this is where the power goes. */
static void operate(uint8_t *target, const uint8_t *after, uint32_t length)
{
    if (operations++ != cut_at) {
        memcpy(target, after, length);
        return;
    }
    for (uint32_t i = 0; i < length; ++i) {
        const uint8_t changing = (uint8_t)(target[i] ^ after[i]);

        if (cut_way == ENTIRELY || (cut_way == FIRST_HALF && i < (length + 1u) / 2u)) {
            target[i] = after[i];
        } else if (cut_way == SOME_BITS || cut_way == OTHER_BITS) {
            target[i] ^= changing & random_byte();
        }
    }
    longjmp(power_lost, 1);
}

bool nrl_port_nvm_erase(uint32_t offset)
{
    static uint8_t ones[NRL_NVM_PAGE_BYTES];

    if (offset % NRL_NVM_PAGE_BYTES != 0 || offset > sizeof(memory) - sizeof(ones)) {
        abort();
    }
    memset(ones, 0xff, sizeof(ones));
    operate(memory + offset, ones, sizeof(ones));
    return true;
}

bool nrl_port_nvm_write(uint32_t offset, const uint8_t *bytes, uint16_t length)
{
    if (offset % NRL_NVM_WORD_BYTES != 0 || length % NRL_NVM_WORD_BYTES != 0 || offset > sizeof(memory) ||
        length > sizeof(memory) - offset) {
        abort();
    }
    for (uint16_t i = 0; i < length; i = (uint16_t)(i + NRL_NVM_WORD_BYTES)) {
        uint8_t after[NRL_NVM_WORD_BYTES];

        for (uint32_t j = 0; j < NRL_NVM_WORD_BYTES; ++j) {
            /* Flash goes from ones to zeros only; a word that is written twice shows. */
            after[j] = NRL_NVM_PAGE_BYTES > 1 ? (uint8_t)(memory[offset + i + j] & bytes[i + j]) : bytes[i + j];
        }
        operate(memory + offset + i, after, NRL_NVM_WORD_BYTES);
    }
    return true;
}

/* One agent's life: snapshots after 0, 1, 2, ... episodes. */
#define LIVES 40u
static uint8_t lives[LIVES][NRL_SNAPSHOT_BYTES];
static nrl_entropy_t entropy;
static nrl_agent_t agent;
static nrl_store_t store;

static void live(void)
{
    static const uint32_t seed[4] = NRL_DEFAULT_SEED_STATE;
    int16_t observation[NRL_INPUTS] = {100};

    nrl_entropy_seed(&entropy, seed);
    if (nrl_agent_init(&agent, &entropy) != NRL_OK) {
        abort();
    }
    for (unsigned i = 0; i < LIVES; ++i) {
        if (nrl_agent_snapshot(&agent, lives[i]) != NRL_OK) {
            abort();
        }
        observation[0] = (int16_t)(300 * (i % 7u));
        nrl_agent_step(&agent, observation, 0, false, false);
        nrl_agent_step(&agent, observation, (int32_t)(i % 5u) << NRL_REWARD_FRAC_BITS, true, false);
    }
}

static void become(unsigned life)
{
    if (nrl_agent_restore(&agent, lives[life]) != NRL_OK) {
        abort();
    }
}

static nrl_store_result_t save(unsigned life)
{
    become(life);
    return nrl_store_save(&store, &agent);
}

/* What a start finds: the number of a life, or -1 for none. Anything else ends the program. */
static int boot(void)
{
    static nrl_agent_t found;
    static nrl_entropy_t other;
    static uint8_t snapshot[NRL_SNAPSHOT_BYTES];
    static const uint32_t seed[4] = {1, 2, 3, 4};

    ++boots;
    nrl_entropy_seed(&other, seed);
    if (nrl_agent_init(&found, &other) != NRL_OK) {
        abort();
    }
    nrl_store_start(&store);
    if (!nrl_store_restore(&store, &found)) {
        return -1;
    }
    if (nrl_agent_snapshot(&found, snapshot) != NRL_OK) {
        abort();
    }
    for (unsigned i = 0; i < LIVES; ++i) {
        if (memcmp(snapshot, lives[i], sizeof(snapshot)) == 0) {
            return (int)i;
        }
    }
    printf("a start found an agent that never was saved\n");
    exit(1);
}

static void expect(bool holds, const char *what, unsigned saves, uint32_t first, unsigned first_way, uint32_t second,
                   unsigned second_way)
{
    if (!holds) {
        printf("%s: after %u saves, cut at operation %lu (way %u), then at %lu (way %u)\n", what, saves,
               (unsigned long)first, first_way, (unsigned long)second, second_way);
        exit(1);
    }
}

/* A save whose power goes at an operation. True: the save was over before. */
static bool save_with_cut(unsigned life, uint32_t at, unsigned way)
{
    bool over = false;

    become(life);
    operations = 0;
    cut_at = at;
    cut_way = way;
    if (setjmp(power_lost) == 0) {
        over = nrl_store_save(&store, &agent) == NRL_STORE_SAVED;
    } else {
        ++cuts;
    }
    cut_at = NEVER;
    return over;
}

static void cut_twice(unsigned saves)
{
    static uint8_t at_rest[sizeof(memory)];
    static uint8_t after_first[sizeof(memory)];
    const int old = saves == 0 ? -1 : (int)saves - 1;
    bool first_over = false;

    memcpy(at_rest, memory, sizeof(memory));
    for (uint32_t first = 0; !first_over; ++first) {
        for (unsigned first_way = 0; first_way < WAYS && !first_over; ++first_way) {
            bool second_over = false;
            int found;

            memcpy(memory, at_rest, sizeof(memory));
            expect(boot() == old, "the start before the first cut", saves, first, first_way, 0, 0);
            first_over = save_with_cut(saves, first, first_way);
            memcpy(after_first, memory, sizeof(memory));
            found = boot();
            expect(found == old || found == (int)saves, "neither old nor new", saves, first, first_way, 0, 0);
            expect(!first_over || found == (int)saves, "a finished save was lost", saves, first, first_way, 0, 0);
            for (uint32_t second = 0; !second_over; ++second) {
                for (unsigned second_way = 0; second_way < WAYS && !second_over; ++second_way) {
                    int again;

                    memcpy(memory, after_first, sizeof(memory));
                    expect(boot() == found, "two starts differ", saves, first, first_way, second, second_way);
                    second_over = save_with_cut(saves + 1u, second, second_way);
                    again = boot();
                    expect(again == found || again == (int)saves + 1, "neither old nor new", saves, first, first_way,
                           second, second_way);
                    expect(save(saves + 2u) == NRL_STORE_SAVED && boot() == (int)saves + 2, "the next save failed",
                           saves, first, first_way, second, second_way);
                }
            }
        }
    }
    memcpy(memory, at_rest, sizeof(memory));
}

/* Whatever bit of the newest image flips, the one before it is found; of the one before, the newest. */
static void flip_bits(unsigned saves)
{
    static uint8_t at_rest[sizeof(memory)];
    const uint32_t checked = 16u + NRL_SNAPSHOT_BYTES + 4u;
    int newest;

    memcpy(at_rest, memory, sizeof(memory));
    newest = boot();
    expect(newest == (int)saves - 1, "the start before a bit flips", saves, 0, 0, 0, 0);
    for (uint16_t record = 0; record < 2u * NRL_STORE_IMAGES; ++record) {
        const uint32_t offset = (record / NRL_STORE_IMAGES) * (NRL_STORE_BYTES / 2u) +
                                (record % NRL_STORE_IMAGES) * NRL_STORE_STRIDE;
        bool is_newest;

        boot();
        is_newest = record == store.newest;
        for (uint32_t bit = 0; bit < 8u * checked; ++bit) {
            int found;

            memory[offset + bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
            found = boot();
            expect(found == (is_newest ? newest - 1 : newest), "a flipped bit was not seen", saves, record, bit, 0, 0);
            memcpy(memory, at_rest, sizeof(memory));
        }
    }
}

int main(int argc, char **argv)
{
    const unsigned saves = 2u * NRL_STORE_IMAGES + 3u;
    const uint8_t fill = argc > 1 ? (uint8_t)atoi(argv[1]) : 0xff;

    if (saves + 4u > LIVES) {
        return 2;
    }
    live();
    /* What a chip has never written is ones; an emulator's may be zeros, and garbage is an older program's. */
    for (uint32_t i = 0; i < sizeof(memory); ++i) {
        memory[i] = fill == 1u ? random_byte() : fill;
    }
    for (unsigned done = 0; done <= saves; ++done) {
        cut_twice(done);
        if (done >= 2u) {
            flip_bits(done);
        }
        expect(boot() == (int)done - 1 && save(done) == NRL_STORE_SAVED, "a save failed", done, 0, 0, 0, 0);
    }
    boot();
    expect(nrl_store_clear(&store) && boot() == -1, "cleared, and an image is there", saves, 0, 0, 0, 0);
    printf("cuts %lu boots %lu\n", cuts, boots);
    return 0;
}
