"""The experiment file: one TOML file describes a run."""

from nrl_edge.experiment.agent import (
    TaskProbe,
    agent_configuration,
    choose_observation_frac_bits,
    entropy_settings,
    learning_settings,
    make_experiment_task,
    probe_task,
    resolve_agent,
    task_settings,
)
from nrl_edge.experiment.load import check_experiment, load_experiment, parse_experiment
from nrl_edge.experiment.new import experiment_text, new_experiment
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
    "EntropySection",
    "Experiment",
    "Float64Section",
    "FormatsSection",
    "LearningSection",
    "NetworkSection",
    "RunSection",
    "TaskProbe",
    "TaskSection",
    "agent_configuration",
    "check_experiment",
    "choose_observation_frac_bits",
    "entropy_settings",
    "experiment_text",
    "learning_settings",
    "load_experiment",
    "make_experiment_task",
    "new_experiment",
    "parse_experiment",
    "probe_task",
    "resolve_agent",
    "task_settings",
]
