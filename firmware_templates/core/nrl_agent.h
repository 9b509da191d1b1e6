/*
 * nrl_agent.h: an agent that keeps learning from a reward, in integers.
 *
 * Pure C99: no heap, no float, no libc, no global state. What it computes is defined, bit for bit, in
 * docs/arithmetic.md; nrl_config.h says which network, Q formats and learning constants this build has.
 *
 *   nrl_agent_init            draws the initial weights
 *   nrl_agent_step            takes the reward of the last action, learns, gives the next action
 *   nrl_agent_snapshot        all that was learned, as NRL_SNAPSHOT_BYTES bytes; nrl_agent_restore takes it back
 *   nrl_agent_snapshot_read   the same snapshot in chunks; nrl_agent_restore_begin, _write, _commit take it back so
 *   nrl_agent_weights_crc32   what two agents compare to prove that they learned the same
 *
 * A complete program. The observation is +1 or -1 and the rewarded action is 0 or 1 after it:
 *
 *     #include "nrl_agent.h"
 *
 *     static nrl_entropy_t entropy;
 *     static nrl_agent_t agent;
 *
 *     int main(void)
 *     {
 *         static const uint32_t seed[4] = NRL_DEFAULT_SEED_STATE;
 *         int16_t observation[NRL_INPUTS] = {0};
 *         int32_t reward;
 *         int trial, action, correct, score = 0;
 *
 *         nrl_entropy_seed(&entropy, seed);
 *         if (nrl_agent_init(&agent, &entropy) != NRL_OK) {
 *             return 2;
 *         }
 *         for (trial = 0; trial < 3000; ++trial) {
 *             correct = trial & 1;
 *             observation[0] = (int16_t)((1 - 2 * correct) * (1 << NRL_OBSERVATION_FRAC_BITS));
 *             action = nrl_agent_step(&agent, observation, 0, false, false);
 *             reward = action == correct ? INT32_C(1) << NRL_REWARD_FRAC_BITS : 0;
 *             nrl_agent_step(&agent, observation, reward, true, false);
 *             score += trial >= 2900 && action == correct;
 *         }
 *         return score > 90 ? 0 : 1;
 *     }
 *
 * Steps and episodes. A call hands over the observation to act on and the reward of the action before it, and returns
 * the next action, 0..NRL_ACTIONS-1; where actions are continuous (NRL_OUTPUTS above 0) it returns NRL_OK, and the
 * numbers are in agent.action. The first call without an open episode opens one; its reward is ignored. A call
 * with `terminated` (the task reached an end of its own) or `truncated` (it was cut off, by a time limit say) hands
 * over the last reward, closes the episode and returns NRL_EPISODE_ENDED. Learning happens inside the call: at the end
 * of each episode, with NRL_IMMEDIATE_REWARD at every step, in an online agent (NRL_PRESET above 0, preset
 * actor-critic) every NRL_BLOCK_STEPS steps and at the end. An online agent needs the observation of the ending call too, and tells
 * the flags apart: after `truncated` alone more reward would have come. The others use neither.
 *
 * Numbers. Observations are int16 in Q NRL_OBSERVATION_FRAC_BITS (1.0 is 1 << NRL_OBSERVATION_FRAC_BITS), rewards are
 * int32 in Q NRL_REWARD_FRAC_BITS, clamped to +-(2^22 - 1). Nothing wraps: what would not fit saturates, and is
 * counted.
 *
 * Memory. sizeof(nrl_agent_t): each parameter once as weight and once as trace, those of an online agent's critic too, and
 * a small working set. The stack takes two bytes a unit of the last hidden layer (on Arm three, where there are
 * three actions) and at most 400 more. Constant tables take
 * 194 bytes (see nrl_rom.h).
 *
 * Threads. Agents share nothing. One agent and its entropy source belong to one thread, or to the main loop or one
 * interrupt handler, at a time. A call takes bounded time, unless the entropy source blocks.
 *
 * Status codes are negative, actions are not. Where an entropy draw fails the agent still acts (greedily) and does not
 * learn; counters.entropy counts it.
 */
#ifndef NRL_AGENT_H
#define NRL_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nrl_config.h"
#if NRL_PRESET != 0
#include "nrl_critic.h"
#endif
#include "nrl_entropy.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NRL_OK 0
#define NRL_EPISODE_ENDED (-1)      /* step: the episode is closed, there is no action */
#define NRL_ERROR_NO_EPISODE (-2)   /* step: an end without an open episode; nothing changed */
#define NRL_ERROR_EPISODE_OPEN (-3) /* snapshot: only between episodes */
#define NRL_ERROR_ENTROPY (-4)      /* no weights were drawn: the entropy source failed in init */
#define NRL_ERROR_SNAPSHOT (-5)     /* a refused snapshot, or a step while a restore is staged */
#define NRL_ERROR_RANGE (-6)        /* offset and length are not a chunk of a snapshot, or not the next one */

#define NRL_SNAPSHOT_HEADER_BYTES 72
#define NRL_SNAPSHOT_CHECKSUM_BYTES 4

#if NRL_PARAMETER_BITS == 16
typedef int16_t nrl_parameter_t;
#else
typedef int8_t nrl_parameter_t;
#endif

/*
 * One unit of a hidden layer: all that a step reads and writes of it lies together, so that one pointer walks through the
 * layer. A unit of the last hidden layer has its weights and traces to the outputs with it.
 */
typedef struct nrl_unit_1 {
    nrl_parameter_t weights[NRL_INPUTS];
#if NRL_HIDDEN_LAYERS == 1
    nrl_parameter_t output_weights[NRL_ACTIONS];
    nrl_parameter_t output_traces[NRL_ACTIONS];
#endif
    nrl_parameter_t traces[NRL_INPUTS];
} nrl_unit_1_t;
#if NRL_HIDDEN_LAYERS >= 2
typedef struct nrl_unit_2 {
    nrl_parameter_t weights[NRL_HIDDEN_1];
#if NRL_HIDDEN_LAYERS == 2
    nrl_parameter_t output_weights[NRL_ACTIONS];
    nrl_parameter_t output_traces[NRL_ACTIONS];
#endif
    nrl_parameter_t traces[NRL_HIDDEN_1];
} nrl_unit_2_t;
#endif
#if NRL_HIDDEN_LAYERS >= 3
typedef struct nrl_unit_3 {
    nrl_parameter_t weights[NRL_HIDDEN_2];
    nrl_parameter_t output_weights[NRL_ACTIONS];
    nrl_parameter_t output_traces[NRL_ACTIONS];
    nrl_parameter_t traces[NRL_HIDDEN_2];
} nrl_unit_3_t;
#endif

/* What was counted since init; each stops at its maximum (section 8 of docs/arithmetic.md). */
typedef struct nrl_counters {
    uint32_t observation;    /* inputs at the ends of int16 */
    uint32_t pre_activation; /* saturated pre-activations */
    uint32_t difference;     /* saturations in the difference pass */
    uint32_t trace;          /* saturations of eligibility traces */
    uint32_t weight;         /* saturations of weights, and rounds of the row limit, in updates */
    uint32_t entropy;        /* steps and updates with a failed draw */
} nrl_counters_t;

/* Rows of whole words, for kernels that take two values at a time. */
#define NRL_EVEN(count) ((count) + ((count) & 1))

/* Of one step or update. The activations of the last hidden layer are on the stack, two bytes a unit. */
typedef struct nrl_step_workspace {
    uint32_t random[(NRL_LARGEST_DRAW_BYTES + 3) / 4];
    int16_t shares_1[NRL_NOISE_DRAWS][NRL_EVEN(NRL_INPUTS)];
#if NRL_HIDDEN_LAYERS >= 2
    int16_t hidden_1[NRL_EVEN(NRL_HIDDEN_1)];
    int16_t difference_1[NRL_NOISE_DRAWS][NRL_EVEN(NRL_HIDDEN_1)];
#endif
#if NRL_HIDDEN_LAYERS >= 3
    int16_t hidden_2[NRL_EVEN(NRL_HIDDEN_2)];
    int16_t difference_2[NRL_NOISE_DRAWS][NRL_EVEN(NRL_HIDDEN_2)];
#endif
} nrl_step_workspace_t;

typedef struct nrl_agent {
    /* to be read by anyone between calls */
    uint32_t episodes;       /* closed ones */
    uint32_t steps;          /* calls that gave an action */
    int32_t return_baseline; /* Q NRL_REWARD_FRAC_BITS */
    int32_t episode_return;  /* of the open or else the last episode, Q NRL_REWARD_FRAC_BITS */
    uint32_t episode_steps;  /* of the same episode */
    nrl_counters_t counters;
#if NRL_OUTPUTS > 0
    int16_t action[NRL_OUTPUTS]; /* the last one, Q12 in standard deviations of the policy; 0 before the first */
#endif
    bool baseline_is_set; /* delayed reward: there has been an update; online: there has been a reward */
    bool episode_open;

    /* for the agent alone */
    bool has_weights;
    bool restore_is_staged;
    nrl_entropy_t *entropy;
#if NRL_PARAMETER_BITS == 16
    uint16_t row_bound;   /* no row of layer 1 has weights whose magnitudes sum to more */
    uint16_t trace_bound; /* no trace has a larger magnitude */
#endif
    nrl_unit_1_t layer_1[NRL_HIDDEN_1];
#if NRL_HIDDEN_LAYERS >= 2
    nrl_unit_2_t layer_2[NRL_HIDDEN_2];
#endif
#if NRL_HIDDEN_LAYERS >= 3
    nrl_unit_3_t layer_3[NRL_HIDDEN_3];
#endif
#if NRL_PRESET != 0
    nrl_critic_t critic;
    int16_t block_error; /* sum of the prediction errors since the network's last update, Q15 */
    uint8_t block_steps; /* steps since then */
#endif
    union {
        nrl_step_workspace_t step;
        struct {
            uint32_t received; /* bytes of the snapshot so far */
            uint32_t crc;      /* of the bytes that the checksum covers */
            uint8_t header[NRL_SNAPSHOT_HEADER_BYTES];
            uint8_t checksum[NRL_SNAPSHOT_CHECKSUM_BYTES];
        } restore;
    } workspace;
} nrl_agent_t;

/*
 * Makes a new agent and draws its weights. The agent keeps the pointer to `entropy`. NRL_OK, or NRL_ERROR_ENTROPY: the
 * agent then answers NRL_ERROR_ENTROPY until an init succeeds or a snapshot is restored.
 */
int nrl_agent_init(nrl_agent_t *agent, nrl_entropy_t *entropy);

/* See "Steps and episodes" above. Returns an action, NRL_EPISODE_ENDED, or an error. */
int nrl_agent_step(nrl_agent_t *agent, const int16_t observation[NRL_INPUTS], int32_t reward, bool terminated,
                   bool truncated);

/* The state between episodes. NRL_OK or NRL_ERROR_EPISODE_OPEN, NRL_ERROR_ENTROPY. */
int nrl_agent_snapshot(const nrl_agent_t *agent, uint8_t bytes[NRL_SNAPSHOT_BYTES]);

/* Bytes offset..offset+length-1 of the same snapshot. As above, or NRL_ERROR_RANGE. */
int nrl_agent_snapshot_read(const nrl_agent_t *agent, uint32_t offset, uint8_t *bytes, uint32_t length);

/*
 * Takes a snapshot of an agent of the same identity; an open episode is dropped. The state of the entropy source is
 * restored only where it is seeded both here and in the snapshot. NRL_OK, or NRL_ERROR_SNAPSHOT and nothing changed.
 */
int nrl_agent_restore(nrl_agent_t *agent, const uint8_t bytes[NRL_SNAPSHOT_BYTES]);

/*
 * The same in chunks, in order from offset 0. The weights wait in the memory of the traces, so begin drops an open
 * episode; all else stays as it was until a commit that succeeds. Until the commit, step answers NRL_ERROR_SNAPSHOT.
 * write: NRL_OK, NRL_ERROR_RANGE (not the next chunk; nothing was taken), or NRL_ERROR_SNAPSHOT (no begin).
 * commit: NRL_OK, or NRL_ERROR_SNAPSHOT: incomplete or refused, and the agent goes on as before.
 */
int nrl_agent_restore_begin(nrl_agent_t *agent);
int nrl_agent_restore_write(nrl_agent_t *agent, uint32_t offset, const uint8_t *bytes, uint32_t length);
int nrl_agent_restore_commit(nrl_agent_t *agent);

/* CRC-32 (zlib's) of the weights, row by row, low byte first; those of the critic follow where there is one. */
uint32_t nrl_agent_weights_crc32(const nrl_agent_t *agent);

#ifdef __cplusplus
}
#endif

#endif
