/*
 * nrl_kernels_portable.h: the kernels in plain C, on any machine: nrl_kernels_plain.h and nothing else.
 */
#ifndef NRL_KERNELS_PORTABLE_H
#define NRL_KERNELS_PORTABLE_H

#include "nrl_kernels_plain.h"

#define NRL_KERNEL_NAME "portable"
#define NRL_KERNEL_UNROLLS 0
#define NRL_KERNEL_PAIRS 0
#define NRL_KERNEL_MULTIPLIES 1

#endif
