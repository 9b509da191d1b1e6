"""The parts that every kind of export is made of: the agent's sources, the loop, and what pages and manifests say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from nrl_edge import __version__
from nrl_edge.codegen.core import render_core
from nrl_edge.codegen.firmware import render_environment
from nrl_edge.codegen.options import on_chip_environment
from nrl_edge.codegen.render import render_folder, render_template
from nrl_edge.experiment import Experiment
from nrl_edge.export.examples import Example, fitting_examples
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.resources import templates_folder

LIBRARY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
AVR_ROM_HEADER = "nrl_port_rom.h"
_ANALOG_PINS = 6


@dataclass(frozen=True)
class Parts:
    """What a kind of export puts together."""

    name: str
    """Of the library and of its header."""
    experiment: Experiment
    configuration: AgentConfiguration
    sources: dict[str, str]
    """Headers and C files by their name, without folders: agent, loop and, for `balance`, environment."""
    examples: tuple[Example, ...]

    @property
    def c_files(self) -> list[str]:
        """Names of the C files."""
        return [name for name in self.sources if name.endswith(".c")]

    @property
    def public_headers(self) -> list[str]:
        """What a program includes."""
        wanted = ("nrl_agent.h", "nrl_entropy.h", "nrl_loop.h", "nrl_cartpole.h", "nrl_environment.h")
        return [name for name in wanted if name in self.sources]

    @property
    def variables(self) -> dict[str, Any]:
        """What templates see."""
        configuration = self.configuration
        pins = min(configuration.inputs, _ANALOG_PINS - 1)
        return {
            "name": self.name,
            "header": f"{self.name}.h",
            "guard": f"{self.name.upper()}_H",
            "headers": self.public_headers,
            "version": __version__,
            "description": configuration.description,
            "identity": configuration.identity,
            "parameters": configuration.parameters,
            "inputs": configuration.inputs,
            "actions": configuration.actions,
            "continuous": configuration.continuous,
            "immediate": configuration.immediate_reward,
            "online": configuration.online,
            "observation_frac_bits": configuration.formats.observation_frac_bits,
            "reward_frac_bits": configuration.formats.reward_frac_bits,
            "snapshot_bytes": configuration.snapshot_bytes,
            "pins": ", ".join(f"A{pin}" for pin in range(pins)),
        }

    def readme(self, kind: str, what: str, use: str, paths: dict[str, str]) -> str:
        """The README: `what` the export is, how to `use` it, and the path of each example by its name."""
        examples = [{"path": paths[example.name], "text": example.text} for example in self.examples]
        return render_template(
            "export/README.md.j2", {**self.variables, "kind": kind, "what": what, "use": use, "examples": examples}
        )

    def example_text(self, example: Example, suffix: str) -> str:
        """The program of an example, as a sketch (`.ino`) or in C (`.c`)."""
        name = example.name if suffix == ".ino" else example.c_name
        return render_template(f"export/examples/{name}{suffix}.j2", self.variables)


def library_parts(experiment: Experiment, configuration: AgentConfiguration, name: str) -> Parts:
    """The parts of a library with the agent of an experiment."""
    examples = fitting_examples(experiment, configuration)
    sources = {**render_core(configuration, experiment.entropy.seed), **render_folder("loop", {})}
    if any(example.name == "balance" for example in examples):
        sources |= render_environment(configuration, on_chip_environment(experiment))
    # AVR keeps its tables in flash: nrl_rom.h looks for this header there, and nowhere else.
    (rom,) = templates_folder().glob(f"port/*/{AVR_ROM_HEADER}")
    sources[AVR_ROM_HEADER] = rom.read_text(encoding="utf-8")
    return Parts(name, experiment, configuration, dict(sorted(sources.items())), examples)
