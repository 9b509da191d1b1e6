"""Tasks: gymnasium environments, their observation scaling, quantisation, and many episodes side by side."""

from nrl_edge.tasks.batched import BatchedTask, GymnasiumBatch, make_batched_task
from nrl_edge.tasks.defaults import NEUTRAL_DEFAULTS, TASK_DEFAULTS, TaskDefaults, task_defaults
from nrl_edge.tasks.quantise import ObservationQuantiser, quantise_reward
from nrl_edge.tasks.registration import ENTRY_POINTS, ON_CHIP_TASKS, register_tasks
from nrl_edge.tasks.seeding import episode_seed
from nrl_edge.tasks.task import Task, TaskSettings, make_task

__all__ = [
    "ENTRY_POINTS",
    "NEUTRAL_DEFAULTS",
    "ON_CHIP_TASKS",
    "TASK_DEFAULTS",
    "BatchedTask",
    "GymnasiumBatch",
    "ObservationQuantiser",
    "Task",
    "TaskDefaults",
    "TaskSettings",
    "episode_seed",
    "make_batched_task",
    "make_task",
    "quantise_reward",
    "register_tasks",
    "task_defaults",
]

register_tasks()
