"""Learning in float64: the NRL rule, its baselines, and a trainer of many agents side by side."""

from nrl_edge.learning.settings import LearningSettings
from nrl_edge.learning.trainer import (
    EpisodeRecord,
    TrainingResult,
    episodes_to_threshold,
    lowest_mean_after_threshold,
    train,
)

__all__ = [
    "EpisodeRecord",
    "LearningSettings",
    "TrainingResult",
    "episodes_to_threshold",
    "lowest_mean_after_threshold",
    "train",
]
