/*
 * nrl_desktop_nvm.c: a file that behaves as flash does: erased in pages to ones, and written from ones to zeros only.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pread, pwrite */
#endif

#include "nrl_desktop_nvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nrl_project.h"

#if NRL_STORE_BYTES > 0

#include "nrl_nvm.h"

#define NO_FILE (-1)

static int file = NO_FILE;
static uint8_t memory[NRL_STORE_BYTES]; /* what is in the file, or all there is without one */
static bool is_ready;

static void nrl_desktop_make_ready(void)
{
    if (!is_ready) {
        memset(memory, 0xff, sizeof(memory));
        is_ready = true;
    }
}

static bool nrl_desktop_keep(uint32_t offset, size_t length)
{
    while (file != NO_FILE && length != 0) {
        const ssize_t written = pwrite(file, memory + offset, length, (off_t)offset);

        if (written > 0) {
            offset += (uint32_t)written;
            length -= (size_t)written;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool nrl_desktop_open_nvm(const char *path)
{
    size_t filled = 0;
    ssize_t count = 1;

    nrl_desktop_make_ready();
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    while (file != NO_FILE && count != 0 && filled < sizeof(memory)) {
        count = pread(file, memory + filled, sizeof(memory) - filled, (off_t)filled);
        if (count > 0) {
            filled += (size_t)count;
        } else if (count < 0 && errno != EINTR) {
            break;
        }
    }
    if (file == NO_FILE || count < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    return true;
}

static bool nrl_desktop_is_inside(uint32_t offset, uint32_t length)
{
    return offset <= sizeof(memory) && length <= sizeof(memory) - offset;
}

void nrl_port_nvm_read(uint32_t offset, uint8_t *bytes, uint16_t length)
{
    nrl_desktop_make_ready();
    if (nrl_desktop_is_inside(offset, length)) {
        memcpy(bytes, memory + offset, length);
    }
}

bool nrl_port_nvm_erase(uint32_t offset)
{
    nrl_desktop_make_ready();
    if (offset % NRL_NVM_PAGE_BYTES != 0 || !nrl_desktop_is_inside(offset, NRL_NVM_PAGE_BYTES)) {
        return false;
    }
    memset(memory + offset, 0xff, NRL_NVM_PAGE_BYTES);
    return nrl_desktop_keep(offset, NRL_NVM_PAGE_BYTES);
}

bool nrl_port_nvm_write(uint32_t offset, const uint8_t *bytes, uint16_t length)
{
    nrl_desktop_make_ready();
    if (offset % NRL_NVM_WORD_BYTES != 0 || length % NRL_NVM_WORD_BYTES != 0 || !nrl_desktop_is_inside(offset, length)) {
        return false;
    }
    for (uint16_t i = 0; i < length; ++i) {
        memory[offset + i] &= bytes[i];
    }
    return nrl_desktop_keep(offset, length);
}

#else

bool nrl_desktop_open_nvm(const char *path)
{
    fprintf(stderr, "--nvm %s: this firmware has no weight store (save_every = 0 in [store])\n", path);
    return false;
}

#endif
