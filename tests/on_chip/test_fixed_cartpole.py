"""The CartPole in integers: C and Python are equal bit for bit, and neither is far from gymnasium's."""

from __future__ import annotations

import math

import gymnasium
import numpy as np
import pytest
from cartpole_library import CartPole, c_observe, c_reset, c_step, cartpole_library
from hypothesis import given, settings
from hypothesis import strategies as st

from nrl_edge.errors import ConfigurationError
from nrl_edge.tasks import ObservationQuantiser, episode_seed, make_task
from nrl_edge.tasks.classic_control import CartPoleBatch
from nrl_edge.tasks.fixed_cartpole import (
    ANGLE_LIMIT,
    FRAC_BITS,
    POSITION_LIMIT,
    RATE_LIMIT,
    SPEED_LIMIT,
    TASK_ID,
    has_fallen,
    observation_shifts,
    observe_state,
    reset_state,
    step_state,
)

ONE = 1 << FRAC_BITS
INT32 = st.integers(-(2**31), 2**31 - 1)
# Whatever a caller may have left in the state, not only what the limits allow.
STATES = st.tuples(
    st.integers(-SPEED_LIMIT, SPEED_LIMIT),
    st.integers(-SPEED_LIMIT, SPEED_LIMIT),
    st.integers(-2 * ANGLE_LIMIT, 2 * ANGLE_LIMIT),
    st.integers(-RATE_LIMIT, RATE_LIMIT),
)


@given(state=STATES, action=st.integers(0, 1))
@settings(max_examples=1000)
def test_a_step_in_c_is_the_step_in_python(state: tuple[int, int, int, int], action: int) -> None:
    cartpole = CartPole(*state, 0)
    terminated, truncated = c_step(cartpole_library(), cartpole, action)
    expected = step_state(state, action)
    assert (cartpole.state, terminated, truncated) == (expected, has_fallen(expected), False)


@given(run_seed=st.integers(0, 2**64 - 1), episode=st.integers(0, 2**32 - 1))
def test_episodes_begin_where_the_host_would_begin_them(run_seed: int, episode: int) -> None:
    library = cartpole_library()
    seed = library.nrl_episode_seed(run_seed, episode)
    assert seed == episode_seed(run_seed, episode)
    assert c_reset(library, seed).state == reset_state(seed)


@given(state=st.tuples(*(st.integers(-SPEED_LIMIT, SPEED_LIMIT),) * 4), exponents=st.tuples(*(st.integers(-6, 9),) * 4))
@settings(max_examples=400)
def test_the_chip_sees_what_the_host_would_quantise(state: tuple[int, ...], exponents: tuple[int, ...]) -> None:
    shifts = observation_shifts(exponents, 10)
    quantised = ObservationQuantiser(exponents, 10)(np.array(state, dtype=np.float64) / ONE)
    assert observe_state(state, shifts) == tuple(quantised.tolist())  # type: ignore[arg-type]
    assert c_observe(cartpole_library(), CartPole(*state, 0), shifts) == tuple(quantised.tolist())


def test_halves_go_to_the_even_neighbour() -> None:
    # 0.5, 1.5, -0.5 and -1.5 of the last place.
    state = (1 << 13, 3 << 13, -1 << 13, -3 << 13)
    assert observe_state(state, (14,) * 4) == (0, 2, 0, -2)
    assert c_observe(cartpole_library(), CartPole(*state, 0), (14,) * 4) == (0, 2, 0, -2)


def test_whole_episodes_are_equal_to_the_registered_environment() -> None:
    """With gymnasium's time limit around the Python, as a run has it."""
    library, task = cartpole_library(), make_task(TASK_ID)
    random = np.random.default_rng(5)
    endings = set()
    for episode in range(60):
        seed = episode_seed(11, episode)
        observation, cartpole = task.reset(seed), c_reset(library, seed)
        while True:
            assert tuple((observation * ONE).astype(int)) == cartpole.state
            # Half of the episodes balance for a while, so that some reach the time limit.
            balances = observation[2] + 0.5 * observation[3] + 0.05 * observation[1] + 0.02 * observation[0] > 0.0
            action = int(balances) if episode % 2 else int(random.integers(2))
            observation, reward, terminated, truncated = task.step(action)
            assert reward == 1.0
            assert c_step(library, cartpole, action) == (terminated, truncated)
            if terminated or truncated:
                endings.add((terminated, truncated))
                break
    assert {(True, False), (False, True)} <= endings


def test_nothing_is_undefined_in_the_c() -> None:
    """The same steps under the undefined-behaviour sanitizer, which ends the process where it finds something."""
    library = cartpole_library(
        "-fsanitize=undefined", "-fno-sanitize-recover=all", "-fsanitize-undefined-trap-on-error"
    )
    corners = [
        (-SPEED_LIMIT, SPEED_LIMIT),
        (-SPEED_LIMIT, 0, SPEED_LIMIT),
        (-ANGLE_LIMIT, 0, 2**31 - 1),
        (-RATE_LIMIT, RATE_LIMIT),
    ]
    for position in corners[0]:
        for speed in corners[1]:
            for angle in corners[2]:
                for rate in corners[3]:
                    for action in (0, 1):
                        cartpole = CartPole(position, speed, angle, rate, 65535)
                        c_step(library, cartpole, action)
                        c_observe(library, CartPole(position, speed, 0, rate, 0), (29, 1, 14, 11))


def deviations(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Fixed point minus float64 after one step, (states, 4)."""
    batch = CartPoleBatch(len(states))
    batch._state[:] = states.T
    batch.step(actions)
    fixed = [
        step_state(tuple(state), int(action))
        for state, action in zip((states * ONE).astype(int).tolist(), actions, strict=True)
    ]
    return np.array(fixed) / ONE - batch._state.T


def test_one_step_is_within_a_few_millionths_of_gymnasium() -> None:
    """The figures that docs/on-chip.md gives."""
    random = np.random.default_rng(0)
    bounds = np.array([POSITION_LIMIT / ONE, 3.0, ANGLE_LIMIT / ONE, 3.5])
    states = np.floor(random.uniform(-bounds, bounds, (20000, 4)) * ONE) / ONE
    error = deviations(states, random.integers(0, 2, 20000))
    largest = np.abs(error).max(axis=0)
    assert (largest < [2e-7, 2e-6, 2e-7, 5e-6]).all(), largest
    # No drift: the mean error is far below the largest.
    assert (np.abs(error.mean(axis=0)) < [1e-7, 2e-7, 1e-7, 5e-7]).all(), error.mean(axis=0)


def balance(task: gymnasium.Env, episode: int) -> int:
    observation, _ = task.reset(seed=episode)
    random = np.random.default_rng(episode)
    for step in range(500):
        drive = observation[2] + 0.1 * observation[3]
        action = int(drive > 0.0) if random.random() < 0.3 else int(random.integers(2))
        observation, _, terminated, truncated, _ = task.step(action)
        if terminated or truncated:
            return step + 1
    raise AssertionError("the time limit did not end the episode")


def test_a_policy_earns_the_same_in_both() -> None:
    """Single episodes part ways, as an upright pole is unstable. How long they last does not."""
    tasks = [gymnasium.make(name) for name in (TASK_ID, "CartPole-v1")]
    fixed, floating = (np.array([balance(task, episode) for episode in range(200)]) for task in tasks)
    spread = math.sqrt((fixed.var() + floating.var()) / 200)
    assert abs(fixed.mean() - floating.mean()) < 3.0 * spread, (fixed.mean(), floating.mean(), spread)
    assert 40 < fixed.mean() < 300


def test_scales_that_the_chip_cannot_shift_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="nearer to"):
        observation_shifts((14, 0, 3, 0), 10)
    with pytest.raises(ConfigurationError, match="nearer to"):
        observation_shifts((-16, 0, 3, 0), 10)
