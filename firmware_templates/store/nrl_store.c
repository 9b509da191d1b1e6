/*
 * nrl_store.c: images of an agent in non-volatile memory, of which one is always whole.
 */
#include "nrl_store.h"

#include "nrl_crc32.h"
#include "nrl_nvm.h"
#include "nrl_port.h"

#define NRL_STORE_MAGIC UINT32_C(0x3157524e) /* "NRW1" */
#define NRL_STORE_HEADER_BYTES 16u
#define NRL_STORE_CHECKSUM_BYTES 4u
#define NRL_STORE_CHECKED_BYTES (NRL_STORE_HEADER_BYTES + (uint32_t)NRL_SNAPSHOT_BYTES)
#define NRL_STORE_RECORDS (2u * NRL_STORE_IMAGES)
#define NRL_STORE_AREA_BYTES (NRL_STORE_BYTES / 2u)
/* Bytes read or written at once, on the stack; every word that memories are written in divides it. */
#define NRL_STORE_CHUNK_BYTES 32u
/* Records that a save tries before it gives up: one may be worn out. */
#define NRL_STORE_ATTEMPTS 2u

/* Collects what is written into chunks, and its CRC. */
typedef struct {
    uint32_t offset; /* of the chunk */
    uint32_t crc;
    uint8_t count; /* bytes in the chunk */
    bool is_good;
    uint8_t chunk[NRL_STORE_CHUNK_BYTES];
} nrl_store_writer_t;

static void nrl_store_put_u32(uint8_t *bytes, uint32_t value)
{
    for (unsigned i = 0; i < 4u; ++i) {
        bytes[i] = (uint8_t)(value >> (8u * i));
    }
}

static uint32_t nrl_store_get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint32_t nrl_store_offset(uint16_t record)
{
    return (record / NRL_STORE_IMAGES) * NRL_STORE_AREA_BYTES + (record % NRL_STORE_IMAGES) * NRL_STORE_STRIDE;
}

/* ---- what is there ---- */

/* Whether a record begins as an image of this agent does; *sequence then has its number. */
static bool nrl_store_has_header(uint16_t record, uint32_t *sequence)
{
    uint8_t header[NRL_STORE_HEADER_BYTES];

    nrl_port_nvm_read(nrl_store_offset(record), header, sizeof(header));
    *sequence = nrl_store_get_u32(header + 4);
    return nrl_store_get_u32(header) == NRL_STORE_MAGIC && nrl_store_get_u32(header + 8) == NRL_SNAPSHOT_BYTES &&
           nrl_store_get_u32(header + 12) == NRL_AGENT_IDENTITY;
}

/* Whether a record ends with the CRC of what it holds, which is left in *crc. */
static bool nrl_store_is_whole(uint16_t record, uint32_t *crc)
{
    uint8_t bytes[NRL_STORE_CHUNK_BYTES];
    uint32_t offset = nrl_store_offset(record);
    const uint32_t end = offset + NRL_STORE_CHECKED_BYTES;

    *crc = 0;
    while (offset < end) {
        const uint16_t count = (uint16_t)(end - offset < sizeof(bytes) ? end - offset : sizeof(bytes));

        nrl_port_nvm_read(offset, bytes, count);
        *crc = nrl_crc32(*crc, bytes, count);
        offset += count;
    }
    nrl_port_nvm_read(end, bytes, NRL_STORE_CHECKSUM_BYTES);
    return nrl_store_get_u32(bytes) == *crc;
}

/* Records that an area is erased for are blank until they are written; others are blank enough. */
static bool nrl_store_is_blank(uint16_t record)
{
    uint8_t bytes[NRL_STORE_CHUNK_BYTES];

    for (uint32_t at = 0; at < NRL_STORE_STRIDE; at += sizeof(bytes)) {
        const uint32_t left = NRL_STORE_STRIDE - at;
        const uint16_t count = (uint16_t)(left < sizeof(bytes) ? left : sizeof(bytes));

        nrl_port_nvm_read(nrl_store_offset(record) + at, bytes, count);
        for (uint16_t i = 0; i < count; ++i) {
            if (bytes[i] != 0xffu) {
                return false;
            }
        }
    }
    return true;
}

/* Sequence numbers run on past 2^32: the difference tells which is newer. */
static bool nrl_store_is_newer(uint32_t sequence, uint32_t than)
{
    return sequence != than && sequence - than < UINT32_C(0x80000000);
}

void nrl_store_start(nrl_store_t *store)
{
    store->sequence = 0;
    store->episodes = 0;
    store->crc = 0;
    store->saves = 0;
    store->failures = 0;
    store->longest_pause_ms = 0;
    store->newest = NRL_STORE_NONE;
    store->damaged = 0;
    store->restored = false;
    /* Backwards: within an area the last image is the newest, and the older ones then need no check. */
    for (uint16_t record = NRL_STORE_RECORDS; record-- > 0;) {
        uint32_t sequence;
        uint32_t crc;

        if (!nrl_store_has_header(record, &sequence) ||
            (store->newest != NRL_STORE_NONE && !nrl_store_is_newer(sequence, store->sequence))) {
            continue;
        }
        if (nrl_store_is_whole(record, &crc)) {
            store->newest = record;
            store->sequence = sequence;
            store->crc = crc;
        } else {
            store->damaged++;
        }
    }
}

bool nrl_store_restore(nrl_store_t *store, nrl_agent_t *agent)
{
    uint8_t bytes[NRL_STORE_CHUNK_BYTES];

    if (store->newest == NRL_STORE_NONE || nrl_agent_restore_begin(agent) != NRL_OK) {
        return false;
    }
    for (uint32_t at = 0; at < NRL_SNAPSHOT_BYTES; at += sizeof(bytes)) {
        const uint32_t left = NRL_SNAPSHOT_BYTES - at;
        const uint16_t count = (uint16_t)(left < sizeof(bytes) ? left : sizeof(bytes));

        nrl_port_nvm_read(nrl_store_offset(store->newest) + NRL_STORE_HEADER_BYTES + at, bytes, count);
        if (nrl_agent_restore_write(agent, at, bytes, count) != NRL_OK) {
            break; /* the commit then refuses what is incomplete */
        }
    }
    if (nrl_agent_restore_commit(agent) != NRL_OK) {
        return false;
    }
    store->episodes = agent->episodes;
    store->restored = true;
    return true;
}

/* ---- saving ---- */

static bool nrl_store_erase_area(unsigned area)
{
#if NRL_NVM_PAGE_BYTES > 1
    for (uint32_t at = 0; at < NRL_STORE_AREA_BYTES; at += NRL_NVM_PAGE_BYTES) {
        if (!nrl_port_nvm_erase(area * NRL_STORE_AREA_BYTES + at)) {
            return false;
        }
    }
#else
    (void)area;
#endif
    return true;
}

/* The record for a new image: a blank one behind `after`, or the first of the other area, which is erased for it. */
static bool nrl_store_choose(const nrl_store_t *store, uint16_t after, uint16_t *record)
{
    unsigned area = 0;

    if (after != NRL_STORE_NONE) {
        area = 1u - after / NRL_STORE_IMAGES;
        for (uint16_t next = (uint16_t)(after + 1u); next % NRL_STORE_IMAGES != 0u; ++next) {
            if (nrl_store_is_blank(next)) {
                *record = next;
                return true;
            }
        }
    }
    if (store->newest != NRL_STORE_NONE && store->newest / NRL_STORE_IMAGES == area) {
        return false; /* the one whole image that there is */
    }
    *record = (uint16_t)(area * NRL_STORE_IMAGES);
    return nrl_store_erase_area(area);
}

static void nrl_store_flush(nrl_store_writer_t *writer)
{
    while (writer->count % NRL_NVM_WORD_BYTES != 0u) {
        writer->chunk[writer->count++] = 0xffu;
    }
    if (writer->is_good && writer->count != 0u) {
        writer->is_good = nrl_port_nvm_write(writer->offset, writer->chunk, writer->count);
    }
    writer->offset += writer->count;
    writer->count = 0;
}

static void nrl_store_put(nrl_store_writer_t *writer, const uint8_t *bytes, uint16_t length)
{
    writer->crc = nrl_crc32(writer->crc, bytes, length);
    for (uint16_t i = 0; i < length; ++i) {
        writer->chunk[writer->count++] = bytes[i];
        if (writer->count == NRL_STORE_CHUNK_BYTES) {
            nrl_store_flush(writer);
        }
    }
}

static bool nrl_store_write(uint16_t record, uint32_t sequence, const nrl_agent_t *agent, uint32_t *crc)
{
    nrl_store_writer_t writer;
    uint8_t bytes[NRL_STORE_CHUNK_BYTES];
    uint32_t stored_sequence;
    uint32_t stored_crc;

    writer.offset = nrl_store_offset(record);
    writer.crc = 0;
    writer.count = 0;
    writer.is_good = true;
    nrl_store_put_u32(bytes, NRL_STORE_MAGIC);
    nrl_store_put_u32(bytes + 4, sequence);
    nrl_store_put_u32(bytes + 8, NRL_SNAPSHOT_BYTES);
    nrl_store_put_u32(bytes + 12, NRL_AGENT_IDENTITY);
    nrl_store_put(&writer, bytes, NRL_STORE_HEADER_BYTES);
    for (uint32_t at = 0; at < NRL_SNAPSHOT_BYTES && writer.is_good; at += sizeof(bytes)) {
        const uint32_t left = NRL_SNAPSHOT_BYTES - at;
        const uint16_t count = (uint16_t)(left < sizeof(bytes) ? left : sizeof(bytes));

        if (nrl_agent_snapshot_read(agent, at, bytes, count) != NRL_OK) {
            return false;
        }
        nrl_store_put(&writer, bytes, count);
    }
    *crc = writer.crc;
    nrl_store_put_u32(bytes, writer.crc);
    nrl_store_put(&writer, bytes, NRL_STORE_CHECKSUM_BYTES);
    nrl_store_flush(&writer);
    return writer.is_good && nrl_store_has_header(record, &stored_sequence) && stored_sequence == sequence &&
           nrl_store_is_whole(record, &stored_crc) && stored_crc == *crc;
}

static void nrl_store_note_pause(nrl_store_t *store, uint32_t since_ms)
{
    const uint32_t pause = nrl_port_milliseconds() - since_ms;

    if (pause > store->longest_pause_ms) {
        store->longest_pause_ms = pause;
    }
}

nrl_store_result_t nrl_store_save(nrl_store_t *store, const nrl_agent_t *agent)
{
    const uint32_t since_ms = nrl_port_milliseconds();
    const uint32_t sequence = store->sequence + 1u;
    nrl_store_result_t result = NRL_STORE_FAILED;
    uint16_t record = store->newest;
    uint8_t byte;

    if (nrl_agent_snapshot_read(agent, 0, &byte, 1) != NRL_OK) {
        return NRL_STORE_NOT_NOW;
    }
    for (unsigned attempt = 0; attempt < NRL_STORE_ATTEMPTS && nrl_store_choose(store, record, &record); ++attempt) {
        uint32_t crc;

        if (nrl_store_write(record, sequence, agent, &crc)) {
            store->newest = record;
            store->sequence = sequence;
            store->episodes = agent->episodes;
            store->crc = crc;
            store->saves++;
            result = NRL_STORE_SAVED;
            break;
        }
        store->failures++;
    }
    nrl_store_note_pause(store, since_ms);
    return result;
}

bool nrl_store_clear(nrl_store_t *store)
{
    const uint32_t since_ms = nrl_port_milliseconds();
    /* Its area last: should the power go, the newest image is there or none is. */
    const unsigned last = store->newest == NRL_STORE_NONE ? 0u : store->newest / NRL_STORE_IMAGES;
    bool cleared = true;

    for (unsigned i = 0; i < 2u && cleared; ++i) {
        const unsigned area = i == 0u ? 1u - last : last;
#if NRL_NVM_PAGE_BYTES > 1
        cleared = nrl_store_erase_area(area);
#else
        static const uint8_t blank[NRL_STORE_HEADER_BYTES] = {0};

        /* What has no header is no image. */
        cleared = nrl_port_nvm_write(area * NRL_STORE_AREA_BYTES, blank, sizeof(blank));
#endif
    }
    if (cleared) {
        store->newest = NRL_STORE_NONE;
        store->episodes = 0;
        store->crc = 0;
        store->restored = false;
    }
    nrl_store_note_pause(store, since_ms);
    return cleared;
}
