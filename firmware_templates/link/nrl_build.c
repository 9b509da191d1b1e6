/*
 * nrl_build.c: the id of this build, where a debugger finds it, and a host tool in an image that is not running.
 *
 * It is in a file of its own so that compilers keep it as a variable: where they see its value they make it part of code.
 */
#include "nrl_link.h"
#include "nrl_project.h"
#include "nrl_rom.h"

const uint8_t nrl_build_id[NRL_BUILD_ID_BYTES] NRL_ROM = NRL_BUILD_ID;
