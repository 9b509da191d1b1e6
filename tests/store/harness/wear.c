/*
 * wear.c: the weight store on memory that is worn out, refuses, or holds what others left. Returns 0, or says what went wrong.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nrl_agent.h"
#include "nrl_crc32.h"
#include "nrl_nvm.h"
#include "nrl_port.h"
#include "nrl_store.h"

#define HEADER_BYTES 16u
#define AREA_BYTES (NRL_STORE_BYTES / 2u)
#define CHECKED_BYTES (HEADER_BYTES + NRL_SNAPSHOT_BYTES)
#define NEVER UINT32_MAX

static uint8_t memory[NRL_STORE_BYTES];
static bool is_worn[NRL_STORE_BYTES]; /* bytes that stay ones */
static bool refuses_writes;
static uint32_t erases_left = NEVER; /* until they are refused */
static uint32_t milliseconds;
static uint32_t milliseconds_a_write;

static nrl_entropy_t entropy;
static nrl_agent_t agent;
static nrl_store_t store;

uint32_t nrl_port_milliseconds(void)
{
    return milliseconds;
}

void nrl_port_nvm_read(uint32_t offset, uint8_t *bytes, uint16_t length)
{
    memcpy(bytes, memory + offset, length);
}

bool nrl_port_nvm_erase(uint32_t offset)
{
    if (erases_left == 0u) {
        return false;
    }
    erases_left -= erases_left != NEVER;
    memset(memory + offset, 0xff, NRL_NVM_PAGE_BYTES);
    return true;
}

bool nrl_port_nvm_write(uint32_t offset, const uint8_t *bytes, uint16_t length)
{
    milliseconds += milliseconds_a_write;
    if (refuses_writes) {
        return false;
    }
    for (uint32_t i = 0; i < length; ++i) {
        if (memory[offset + i] != 0xffu) {
            printf("byte %lu is written twice\n", (unsigned long)(offset + i));
            exit(1);
        }
        memory[offset + i] = is_worn[offset + i] ? 0xffu : bytes[i];
    }
    return true;
}

static uint32_t offset_of(unsigned record)
{
    return record / NRL_STORE_IMAGES * AREA_BYTES + record % NRL_STORE_IMAGES * NRL_STORE_STRIDE;
}

static void wear_out(unsigned record)
{
    /* Within the snapshot: header and checksum are as they should be. */
    memset(is_worn + offset_of(record) + HEADER_BYTES + 8u, 1, 4u);
}

static void end_episode(void)
{
    const int16_t observation[NRL_INPUTS] = {100};

    nrl_agent_step(&agent, observation, 0, false, false);
    nrl_agent_step(&agent, observation, 1 << NRL_REWARD_FRAC_BITS, true, false);
}

/* An agent of no episode and memory that was never written. */
static void begin(void)
{
    static const uint32_t seed[4] = NRL_DEFAULT_SEED_STATE;

    memset(memory, 0xff, sizeof(memory));
    memset(is_worn, 0, sizeof(is_worn));
    refuses_writes = false;
    erases_left = NEVER;
    milliseconds_a_write = 0;
    nrl_entropy_seed(&entropy, seed);
    if (nrl_agent_init(&agent, &entropy) != NRL_OK) {
        abort();
    }
    nrl_store_start(&store);
}

/* One more episode, and a save. */
static nrl_store_result_t save(void)
{
    end_episode();
    return nrl_store_save(&store, &agent);
}

/* The checksum of the newest image, as it lies in memory. */
static uint32_t newest_crc(void)
{
    const uint8_t *const bytes = memory + offset_of(store.newest) + CHECKED_BYTES;

    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Episodes of the agent that a start finds; -1: it finds none. */
static long boot(void)
{
    static nrl_agent_t found;
    static nrl_entropy_t other;
    static const uint32_t seed[4] = {1, 2, 3, 4};

    nrl_entropy_seed(&other, seed);
    if (nrl_agent_init(&found, &other) != NRL_OK) {
        abort();
    }
    nrl_store_start(&store);
    return nrl_store_restore(&store, &found) ? (long)found.episodes : -1L;
}

static void expect(bool holds, int line)
{
    if (!holds) {
        printf("line %d does not hold\n", line);
        exit(1);
    }
}

#define EXPECT(condition) expect(condition, __LINE__)

/* Change a word of a record's header, and make its checksum right again. */
static void change_header(unsigned record, unsigned at)
{
    uint8_t *const image = memory + offset_of(record);
    uint32_t crc;

    image[at] ^= 1u;
    crc = nrl_crc32(0, image, CHECKED_BYTES);
    for (unsigned i = 0; i < 4u; ++i) {
        image[CHECKED_BYTES + i] = (uint8_t)(crc >> (8u * i));
    }
}

static void worn_records_are_passed_over(void)
{
    begin();
    wear_out(0);
    EXPECT(save() == NRL_STORE_SAVED && store.failures == 1u && store.saves == 1u && store.newest == 1u);
    EXPECT(store.episodes == 1u && store.sequence == 1u && store.crc == newest_crc() && store.crc != 0u);
    EXPECT(boot() == 1 && store.episodes == 1u && store.restored && store.crc == newest_crc());

    begin();
    wear_out(0);
    wear_out(1);
    EXPECT(save() == NRL_STORE_FAILED && store.failures == 2u && store.saves == 0u);
    EXPECT(store.newest == NRL_STORE_NONE && boot() == -1);

    begin();
    refuses_writes = true;
    EXPECT(save() == NRL_STORE_FAILED && store.failures == 2u && boot() == -1);
}

static void the_one_whole_image_is_never_given_up(void)
{
    begin();
    for (unsigned record = 0; record < NRL_STORE_IMAGES; ++record) {
        EXPECT(save() == NRL_STORE_SAVED);
    }
    for (unsigned record = NRL_STORE_IMAGES; record < 2u * NRL_STORE_IMAGES; ++record) {
        wear_out(record);
    }
    EXPECT(save() == NRL_STORE_FAILED);
    EXPECT(save() == NRL_STORE_FAILED && store.sequence == NRL_STORE_IMAGES);
    EXPECT(boot() == (long)NRL_STORE_IMAGES);

    begin();
    EXPECT(save() == NRL_STORE_SAVED);
    erases_left = 0;
    for (unsigned record = 1; record < NRL_STORE_IMAGES; ++record) {
        EXPECT(save() == NRL_STORE_SAVED);
    }
    EXPECT(save() == NRL_STORE_FAILED && boot() == (long)NRL_STORE_IMAGES);
    EXPECT(!nrl_store_clear(&store) && boot() == (long)NRL_STORE_IMAGES);
}

static void damaged_images_are_counted(void)
{
    begin();
    EXPECT(save() == NRL_STORE_SAVED && save() == NRL_STORE_SAVED && boot() == 2 && store.damaged == 0u);
    memory[offset_of(store.newest) + HEADER_BYTES + 8u] ^= 1u;
    EXPECT(boot() == 1 && store.damaged == 1u);
    memory[offset_of(store.newest) + HEADER_BYTES + 8u] ^= 1u;
    EXPECT(boot() == -1 && store.damaged == 2u);
}

static void sequence_numbers_run_on_past_their_end(void)
{
    begin();
    store.sequence = UINT32_MAX - 2u;
    for (long saves = 1; saves <= 2L * NRL_STORE_IMAGES + 3L; ++saves) {
        EXPECT(save() == NRL_STORE_SAVED && boot() == saves);
        EXPECT(store.sequence == (uint32_t)(UINT32_MAX - 2u + (uint32_t)saves));
    }
}

static void what_others_left_is_not_there(void)
{
    static const unsigned places[] = {0, 8, 12}; /* magic, length, identity */

    for (unsigned i = 0; i < 3u; ++i) {
        begin();
        EXPECT(save() == NRL_STORE_SAVED && boot() == 1);
        change_header(0, places[i]);
        EXPECT(boot() == -1 && store.damaged == 0u && store.newest == NRL_STORE_NONE);
    }
    begin();
    EXPECT(save() == NRL_STORE_SAVED);
    change_header(0, 4); /* the number: an image as any other */
    EXPECT(boot() == 1 && store.sequence == 0u);
}

/* Whichever area the newest image is in, it is the last to go. */
static void no_older_image_comes_back_from_a_clear_that_breaks_off(void)
{
    for (unsigned saves = NRL_STORE_IMAGES + 1u; saves <= 2u * NRL_STORE_IMAGES + 1u; ++saves) {
        for (uint32_t erases = 0; erases < NRL_STORE_BYTES / NRL_NVM_PAGE_BYTES; ++erases) {
            long found;

            begin();
            for (unsigned i = 0; i < saves; ++i) {
                EXPECT(save() == NRL_STORE_SAVED);
            }
            erases_left = erases;
            EXPECT(!nrl_store_clear(&store) && store.newest != NRL_STORE_NONE);
            found = boot();
            EXPECT(found == (long)saves || found == -1);
        }
        erases_left = NEVER;
        EXPECT(nrl_store_clear(&store) && store.newest == NRL_STORE_NONE && !store.restored && store.crc == 0u);
        EXPECT(boot() == -1);
    }
}

static void the_longest_pause_stays(void)
{
    begin();
    milliseconds_a_write = 7;
    EXPECT(save() == NRL_STORE_SAVED && store.longest_pause_ms >= 7u);
    const uint32_t longest = store.longest_pause_ms;

    milliseconds_a_write = 1;
    EXPECT(save() == NRL_STORE_SAVED && store.longest_pause_ms == longest);
    milliseconds_a_write = 9;
    EXPECT(save() == NRL_STORE_SAVED && store.longest_pause_ms > longest);
}

static void an_open_episode_is_not_saved(void)
{
    const int16_t observation[NRL_INPUTS] = {100};

    begin();
    nrl_agent_step(&agent, observation, 0, false, false);
    EXPECT(nrl_store_save(&store, &agent) == NRL_STORE_NOT_NOW && store.failures == 0u);
    for (uint32_t i = 0; i < sizeof(memory); ++i) {
        EXPECT(memory[i] == 0xffu);
    }
}

int main(void)
{
    worn_records_are_passed_over();
    the_one_whole_image_is_never_given_up();
    damaged_images_are_counted();
    sequence_numbers_run_on_past_their_end();
    what_others_left_is_not_there();
    no_older_image_comes_back_from_a_clear_that_breaks_off();
    the_longest_pause_stays();
    an_open_episode_is_not_saved();
    return 0;
}
