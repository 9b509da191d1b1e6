"""What all kinds of export have in common, and the one function that renders any of them."""

from __future__ import annotations

from typing import Literal, get_args

from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, explicit_experiment
from nrl_edge.export.arduino import render_arduino
from nrl_edge.export.parts import LIBRARY_NAME, Parts, library_parts
from nrl_edge.export.plain_c import render_plain_c
from nrl_edge.export.platformio import render_platformio
from nrl_edge.fixedpoint.configuration import AgentConfiguration

ExportKind = Literal["arduino", "platformio", "c"]
EXPORT_KINDS: tuple[ExportKind, ...] = get_args(ExportKind)

_RENDERERS = {"arduino": render_arduino, "platformio": render_platformio, "c": render_plain_c}


def render_export(
    kind: ExportKind, experiment: Experiment, configuration: AgentConfiguration, name: str = "NrlAgent"
) -> dict[str, str]:
    """All files of a library with the agent of an experiment: {path: text}. The same arguments give the same text.

    `name` is what the library and its header are called. Raises ConfigurationError for a name that no library can have.
    """
    if not LIBRARY_NAME.fullmatch(name):
        raise ConfigurationError(
            f"--name {name!r}: a library's name begins with a letter and goes on with letters, digits and underscores, "
            "63 at most"
        )
    parts: Parts = library_parts(experiment, configuration, name)
    files = _RENDERERS[kind](parts)
    files["experiment.toml"] = explicit_experiment(experiment, configuration.formats).to_toml()
    return dict(sorted(files.items()))
