"""The examples of exports: which there are, which agents they need, and which fit an agent that is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, experiment_text, parse_experiment
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.strict_toml import did_you_mean
from nrl_edge.tasks import ON_CHIP_TASKS

LIGHTS = 4
"""Of blink-bandit."""


@dataclass(frozen=True)
class Example:
    """One example program."""

    name: str
    """As a sketch, a folder and an option call it."""
    text: str
    """What it shows, in a sentence."""
    fits: Callable[[Experiment, AgentConfiguration], bool]
    """Whether it works with an agent."""

    @property
    def c_name(self) -> str:
        """As a C file calls it."""
        return self.name.replace("-", "_")


def _is_bandit(experiment: Experiment, configuration: AgentConfiguration) -> bool:
    has_lights = configuration.actions == LIGHTS and not configuration.continuous
    return configuration.inputs == 1 and has_lights and configuration.immediate_reward


def _is_on_chip(experiment: Experiment, configuration: AgentConfiguration) -> bool:
    return experiment.task.id in ON_CHIP_TASKS


EXAMPLES = (
    Example("blink-bandit", "the agent finds out which of four lights a button rewards.", _is_bandit),
    Example(
        "balance", "the chip simulates a pole on a cart and learns to balance it, with nobody's help.", _is_on_chip
    ),
    Example(
        "sensor-loop",
        "a skeleton with sensors, an actuator and a reward, to put your own into.",
        lambda experiment, configuration: True,
    ),
)

EXAMPLE_TASKS = {"blink-bandit": "bandit4", "balance": "balance"}
"""The task (as `new_experiment` takes it) of each example that needs an agent of its own; sensor-loop fits any."""


def example_experiment(name: str) -> Experiment:
    """The experiment whose agent an example is for. Raises ConfigurationError where there is none."""
    if name not in EXAMPLE_TASKS:
        hint = "; sensor-loop is in every export" if name == "sensor-loop" else did_you_mean(name, EXAMPLE_TASKS)
        raise ConfigurationError(
            f"--example {name}: examples with an agent of their own are {', '.join(EXAMPLE_TASKS)}{hint}"
        )
    return parse_experiment(experiment_text(EXAMPLE_TASKS[name]), f"the experiment of {name}")


def fitting_examples(experiment: Experiment, configuration: AgentConfiguration) -> tuple[Example, ...]:
    """The examples that work with an agent."""
    return tuple(example for example in EXAMPLES if example.fits(experiment, configuration))
