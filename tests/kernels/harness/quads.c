/*
 * quads.c: nrl_trace_quads and nrl_trace_column of nrl_kernels_8.h on a core, against sums that are saturated one by one. A call
 * is four changes and a variant: 0 or 1 gives traces, 0 or 2 gives signs, so that every trace meets every change with
 * either sign.
 */
#include "counted.h"
#include "nrl_internal.h"
#include "nrl_kernels_8.h"

#define UNITS 128u
#define RAGGED 13u /* units that are no whole bytes of signs */
#define STRIDE 8u

static int8_t expected[UNITS][STRIDE], traces[UNITS][STRIDE] __attribute__((aligned(4)));
static uint8_t signs[UNITS / 8u];
static uint32_t saturated;
static uint32_t differ;

void counted_prepare(void)
{
}

/* Returns how many saturated. */
static uint32_t one_by_one(unsigned units, const int16_t changes[4], unsigned inputs)
{
    uint32_t count = 0;

    for (unsigned unit = 0; unit < units; ++unit) {
        for (unsigned j = 0; j < inputs; ++j) {
            const int sign = (signs[unit / 8u] >> (unit % 8u) & 1) != 0 ? 1 : -1;
            const int sum = expected[unit][j] + sign * changes[j];

            expected[unit][j] = (int8_t)(sum > 127 ? 127 : sum < -128 ? -128 : sum);
            count += sum > 127 || sum < -128;
        }
    }
    return count;
}

/* The instrument looks for this function in what a call runs. */
static NRL_NOINLINE void lay_out_traces(unsigned variant)
{
    for (unsigned unit = 0; unit < UNITS; ++unit) {
        for (unsigned j = 0; j < STRIDE; ++j) {
            traces[unit][j] = expected[unit][j] = (int8_t)(uint8_t)(unit + 128u * (variant & 1u) + 64u * j);
        }
    }
    for (unsigned i = 0; i < UNITS / 8u; ++i) {
        signs[i] = (uint8_t)((i * 0x3bu + 0x5au) ^ ((variant & 2u) != 0u ? 0xffu : 0u));
    }
}

static void compare(uint32_t counted, uint32_t right)
{
    for (unsigned unit = 0; unit < UNITS; ++unit) {
        for (unsigned j = 0; j < STRIDE; ++j) {
            differ += traces[unit][j] != expected[unit][j];
        }
    }
    differ += counted != right;
    saturated += right;
}

int counted_call(const counted_input_t *input)
{
    static const unsigned counts[2] = {UNITS, RAGGED};

    for (unsigned i = 0; i < 2u; ++i) {
        lay_out_traces((unsigned)input->reward);
        compare(nrl_trace_quads(traces[0], STRIDE, signs, counts[i], nrl_quad(input->observation)),
                one_by_one(counts[i], input->observation, 4));
        compare(nrl_trace_column(traces[0], STRIDE, signs, counts[i], input->observation[0]),
                one_by_one(counts[i], input->observation, 1));
    }
    return 0;
}

uint32_t counted_weights_crc32(void)
{
    return differ == 0u ? saturated : UINT32_MAX;
}
