"""The experiment file: one TOML file describes a run."""

from nrl_edge.experiment.agent import (
    agent_configuration,
    entropy_settings,
    experiment_ranges,
    experiment_scale_exponents,
    explicit_experiment,
    learning_settings,
    make_experiment_task,
    resolve_agent,
    task_settings,
)
from nrl_edge.experiment.load import check_experiment, load_experiment, parse_experiment
from nrl_edge.experiment.new import Choices, experiment_text, new_experiment
from nrl_edge.experiment.schema import (
    ArithmeticSection,
    BoardSection,
    EntropySection,
    Experiment,
    Float64Section,
    FormatsSection,
    LearningSection,
    NetworkSection,
    RunSection,
    TaskSection,
)

__all__ = [
    "ArithmeticSection",
    "BoardSection",
    "Choices",
    "EntropySection",
    "Experiment",
    "Float64Section",
    "FormatsSection",
    "LearningSection",
    "NetworkSection",
    "RunSection",
    "TaskSection",
    "agent_configuration",
    "check_experiment",
    "entropy_settings",
    "experiment_ranges",
    "experiment_scale_exponents",
    "experiment_text",
    "explicit_experiment",
    "learning_settings",
    "load_experiment",
    "make_experiment_task",
    "new_experiment",
    "parse_experiment",
    "resolve_agent",
    "task_settings",
]
