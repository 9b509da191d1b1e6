"""Registers the tasks of this package with gymnasium, under the namespace NRL."""

from __future__ import annotations

import gymnasium

from nrl_edge.tasks.fixed_cartpole import TASK_ID, TIME_LIMIT
from nrl_edge.tasks.reaching import TRIAL_STEPS

ENTRY_POINTS: dict[str, tuple[str, int | None]] = {
    "NRL/Reaching1D-v0": ("nrl_edge.tasks.reaching:Reaching1D", TRIAL_STEPS),
    "NRL/XOR-v0": ("nrl_edge.tasks.xor:XOR", None),
    "NRL/ContextualBandit-v0": ("nrl_edge.tasks.contextual_bandit:ContextualBandit", None),
    "NRL/Bandit-v0": ("nrl_edge.tasks.bandit:Bandit", None),
    TASK_ID: ("nrl_edge.tasks.fixed_cartpole:FixedCartPole", TIME_LIMIT),
}
"""By id: the environment's class, and the steps after which an episode is truncated."""

ON_CHIP_TASKS = (TASK_ID,)
"""Tasks that firmware can simulate itself."""


def register_tasks() -> None:
    """Make the tasks known to `gymnasium.make`, once."""
    for task_id, (entry_point, max_episode_steps) in ENTRY_POINTS.items():
        if task_id not in gymnasium.registry:
            gymnasium.register(task_id, entry_point=entry_point, max_episode_steps=max_episode_steps)
