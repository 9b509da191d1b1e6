"""Writes the experiment file that a user starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment.load import parse_experiment
from nrl_edge.fixedpoint.configuration import ONLINE_LEARNING_RATE_EXPONENT
from nrl_edge.strict_toml import did_you_mean, format_value
from nrl_edge.tasks import TASK_DEFAULTS, make_task, task_defaults

EXPERIMENT_FILE = "experiment.toml"
_TEMPLATE = Path(__file__).with_name("experiment.toml.j2")
_SCALE_NOTES = dict.fromkeys(
    ("CartPole-v1", "NRL/FixedCartPole-v0"), "The pole's angle, in radians, is tiny beside the other three."
)


@dataclass(frozen=True)
class Choices:
    """What a new experiment differs in from its task's defaults; docs/experiment.md says what each may be."""

    hidden: tuple[int, ...] | None = None
    """Units of each hidden layer; None: those that go with the task."""
    preset: str = "edge"
    entropy_mode: str = "seeded"
    board: str = "desktop"


def new_experiment(
    folder: str | Path, task: str = "cartpole", choices: Choices | None = None, *, dry_run: bool = False
) -> Path:
    """Write `experiment.toml`, with a comment for every choice, into a folder that is made where it is missing.

    `task` is a short name (those of TASK_DEFAULTS, such as cartpole) or any gymnasium id. Returns the file's path; with
    `dry_run` nothing is written. Raises ConfigurationError where the file exists already, the task is not known or does
    not fit, a choice cannot be made, or the folder cannot be written.
    """
    path = Path(folder) / EXPERIMENT_FILE
    if path.exists():
        raise ConfigurationError(f"{path} exists already and stays as it is; name another folder, or remove the file")
    text = experiment_text(task, choices)
    if dry_run:
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x" refuses a file that appeared since the check above.
        file = path.open("x", encoding="utf-8")
        try:
            with file:
                file.write(text)
        except OSError:
            path.unlink()  # half an experiment would be in the way of the next attempt
            raise
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror or error}; name another folder") from error
    return path


def experiment_text(task: str, choices: Choices | None = None) -> str:
    """The commented text of a new experiment. Raises ConfigurationError."""
    choices = choices or Choices()
    hidden_layers = None if choices.hidden is None else len(choices.hidden)
    defaults = task_defaults(task.lower() if task.lower() in TASK_DEFAULTS else task, hidden_layers)
    task_id = str(defaults.task_id)
    try:
        made = make_task(task_id)
    except ConfigurationError as error:
        raise ConfigurationError(
            # An id with a module or a namespace was not meant to be one of them.
            str(error)
            if ":" in task or "/" in task
            else f"{error}. Short names are {', '.join(sorted(TASK_DEFAULTS))}{did_you_mean(task, TASK_DEFAULTS)}"
        ) from error
    inputs, actions = made.inputs, made.actions
    made.close()
    exponents = defaults.observation_scale
    known = any(defaults.task_id == other.task_id for other in TASK_DEFAULTS.values())
    scale: object = 1 if known else "auto"
    if isinstance(exponents, tuple):
        scale = [2**exponent if exponent >= 0 else 2.0**exponent for exponent in exponents]
    learning_rate: str | float = f"2^-{defaults.learning_rate_exponent}"
    clip = defaults.clip
    if choices.preset == "actor-critic":
        learning_rate, clip = f"2^-{ONLINE_LEARNING_RATE_EXPONENT}", 2.0**-defaults.online_clip_exponent
    paper = choices.preset == "paper"
    if paper:
        # As published: raw observations, no clip, and one of the paper's own rates (studies/paper.toml).
        scale, learning_rate, clip = 1, 0.005, None
    text = (
        Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True, autoescape=False)
        .from_string(_TEMPLATE.read_text(encoding="utf-8"))
        .render(
            file=EXPERIMENT_FILE,
            task_id=format_value(task_id),
            inputs=inputs,
            actions=actions,
            observation_scale=format_value(scale),
            scale_note="" if paper else _SCALE_NOTES.get(task_id, ""),
            reward=format_value(defaults.reward),
            threshold="" if defaults.threshold is None else f"{defaults.threshold:g}",
            hidden=format_value(choices.hidden or defaults.hidden),
            preset=format_value(choices.preset),
            learning_rate=format_value(learning_rate),
            kind=format_value("float64" if paper else "int16"),
            paper=paper,
            clip='"off"' if clip is None else format_value(clip),
            episodes=defaults.episodes,
            on_chip=defaults.on_chip,
            entropy_mode=format_value(choices.entropy_mode),
            board=format_value(choices.board),
        )
    )
    parse_experiment(text)
    return text
