/*
 * nrl_desktop_nvm.h: the desktop's non-volatile memory.
 */
#ifndef NRL_DESKTOP_NVM_H
#define NRL_DESKTOP_NVM_H

#include <stdbool.h>

/* Keep what the weight store writes in a file. False: it cannot be, and standard error says why. */
bool nrl_desktop_open_nvm(const char *path);

#endif
