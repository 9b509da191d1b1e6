"""What an experiment starts from for each task: measured settings of the rule's `edge` preset, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from nrl_edge.tasks.task import TaskSettings


@dataclass(frozen=True)
class TaskDefaults:
    """Defaults of one task. Learning rate and clip are exponents of two, as the fixed-point agent takes them."""

    task_id: str | None = None
    """The gymnasium id; None in the neutral default."""
    threshold: float | None = None
    """Mean return of 100 episodes at which the task counts as solved."""
    observation_scale: int | tuple[int, ...] = 0
    """Exponents of two, one for each input or one for all."""
    reward: Literal["delayed", "immediate"] = "delayed"
    """`delayed`: learn once an episode, from its return. `immediate`: learn at every step, from its reward."""
    hidden: tuple[int, ...] = (64,)
    episodes: int = 1000
    learning_rate_exponent: int = 7
    """The learning rate is 2^-learning_rate_exponent."""
    clip_exponent: int | None = 2
    """An update's norm is at most 2^-clip_exponent."""
    online_clip_exponent: int = 5
    """The same for preset actor-critic: 5 keeps what was learned, 3 is faster where nothing is lost."""
    on_chip: bool = False
    """The firmware simulates the task itself."""

    @property
    def learning_rate(self) -> float:
        """2^-learning_rate_exponent."""
        return 2.0**-self.learning_rate_exponent

    @property
    def clip(self) -> float | None:
        """2^-clip_exponent, or None."""
        return None if self.clip_exponent is None else 2.0**-self.clip_exponent

    def task_settings(self) -> TaskSettings:
        """The task of these defaults, ready to be trained. Needs a task_id."""
        if self.task_id is None:
            raise ValueError("the neutral defaults name no task")
        return TaskSettings(self.task_id, {}, self.observation_scale, self.threshold)


NEUTRAL_DEFAULTS = TaskDefaults()
"""For tasks that nothing is known of: a small step and a tight clip, which learn slowly and do not collapse."""

TASK_DEFAULTS: dict[str, TaskDefaults] = {
    "cartpole": TaskDefaults(
        task_id="CartPole-v1",
        threshold=475.0,
        observation_scale=(0, 0, 3, 0),
        episodes=500,
        learning_rate_exponent=6,
        clip_exponent=1,
        online_clip_exponent=3,
    ),
    "acrobot": TaskDefaults(
        task_id="Acrobot-v1",
        threshold=-100.0,
        episodes=1000,
        learning_rate_exponent=7,
        clip_exponent=2,
    ),
    # The better policies of exact float64 learners earn 250 to 280 of at most 300 a trial.
    "reaching": TaskDefaults(
        task_id="NRL/Reaching1D-v0",
        threshold=200.0,
        reward="immediate",
        episodes=500,
        learning_rate_exponent=7,
        clip_exponent=2,
    ),
    "xor": TaskDefaults(
        task_id="NRL/XOR-v0",
        threshold=0.95,
        reward="immediate",
        hidden=(8, 8),
        episodes=5000,
        learning_rate_exponent=6,
        clip_exponent=2,
    ),
    # The smallest boards have room for it, and learn with no host in the loop.
    "balance": TaskDefaults(
        task_id="NRL/FixedCartPole-v0",
        threshold=195.0,
        observation_scale=(0, 0, 3, 0),
        hidden=(16,),
        episodes=400,
        learning_rate_exponent=6,
        clip_exponent=1,
        online_clip_exponent=3,
        on_chip=True,
    ),
    # Four lights, one of which a person rewards: always the right one earns 1.
    "bandit4": TaskDefaults(
        task_id="NRL/Bandit-v0",
        threshold=0.9,
        reward="immediate",
        hidden=(4,),
        episodes=300,
        learning_rate_exponent=2,
        clip_exponent=1,
    ),
    # Always pulling the better arm earns 0.9 on average.
    "bandit": TaskDefaults(
        task_id="NRL/ContextualBandit-v0",
        threshold=0.8,
        reward="immediate",
        hidden=(8, 8),
        episodes=5000,
        learning_rate_exponent=6,
        clip_exponent=2,
    ),
}
"""By short name. `task_defaults` also finds them by gymnasium id."""


def task_defaults(task: str, hidden_layers: int | None = None) -> TaskDefaults:
    """Defaults of a short name or gymnasium id; the neutral ones where there are none.

    With another number of hidden layers than the task's own, all have the width of its first. Where that makes two or
    three of one, the learning rate is 2^-8, the clip 2^-2 and a run at least 1200 episodes long.
    """
    found = TASK_DEFAULTS.get(task)
    if found is None:
        found = next((defaults for defaults in TASK_DEFAULTS.values() if defaults.task_id == task), None)
    if found is None:
        found = replace(NEUTRAL_DEFAULTS, task_id=task)
    if hidden_layers is None or hidden_layers == len(found.hidden):
        return found
    if len(found.hidden) == 1:
        found = replace(
            found,
            learning_rate_exponent=8,
            clip_exponent=2,
            episodes=max(found.episodes, 1200),
        )
    return replace(found, hidden=(found.hidden[0],) * hidden_layers)
