/*
 * agent.c: the generated agent as what is counted.
 */
#include "counted.h"
#include "nrl_agent.h"

nrl_agent_t counted_agent;
static nrl_entropy_t counted_entropy;

void counted_prepare(void)
{
    static const uint32_t seed[4] = NRL_DEFAULT_SEED_STATE;

    nrl_entropy_seed(&counted_entropy, seed);
    (void)nrl_agent_init(&counted_agent, &counted_entropy);
}

int counted_call(const counted_input_t *input)
{
    return nrl_agent_step(&counted_agent, input->observation, input->reward, input->terminated != 0,
                          input->truncated != 0);
}

uint32_t counted_weights_crc32(void)
{
    return nrl_agent_weights_crc32(&counted_agent);
}
