"""An Arduino library, as the Arduino library specification (revision 1.5 and later) has it."""

from __future__ import annotations

from nrl_edge.codegen.render import render_template
from nrl_edge.export.parts import Parts
from nrl_edge.resources import templates_folder

_TYPES = ("nrl_agent_t", "nrl_entropy_t", "nrl_loop_t", "nrl_loop_config_t", "nrl_cartpole_t")
_FUNCTIONS = (
    *("nrl_agent_init", "nrl_agent_step", "nrl_agent_snapshot", "nrl_agent_snapshot_read", "nrl_agent_restore"),
    *("nrl_agent_weights_crc32", "nrl_entropy_seed", "nrl_entropy_use", "nrl_loop_init", "nrl_loop_poll"),
    "nrl_arduino_seed",
)
_CONSTANTS = ("NRL_INPUTS", "NRL_ACTIONS", "NRL_OBSERVATION_FRAC_BITS", "NRL_REWARD_FRAC_BITS", "NRL_EPISODE_ENDED")
_USE = """Install it in the Arduino IDE as a folder below `libraries/` of your sketchbook, or as a .zip file (Sketch,
Include Library, Add .ZIP Library). Then open one of its examples (File, Examples). The library was compiled, and its
examples run in an emulator, for the Arduino Uno; only `nrl_arduino_seed` differs from chip to chip."""


def arduino_files(parts: Parts) -> dict[str, str]:
    """What a library for Arduino has besides its manifests: `src/`, with one header for all, and sketches."""
    names = ("nrl_arduino.h", "nrl_arduino.cpp")
    extra = {name: (templates_folder() / "export" / "arduino" / name).read_text(encoding="utf-8") for name in names}
    headers = [*parts.public_headers, "nrl_arduino.h"]
    umbrella = render_template("export/arduino/library.h.j2", {**parts.variables, "headers": headers})
    files = {f"src/{name}": text for name, text in {**parts.sources, **extra}.items()}
    files[f"src/{parts.name}.h"] = umbrella
    for example in parts.examples:
        files[_sketch(example.name)] = parts.example_text(example, ".ino")
    return files


def render_arduino(parts: Parts) -> dict[str, str]:
    """The library: {path: text}."""
    keywords = {"types": (parts.name, *_TYPES), "functions": _FUNCTIONS, "constants": _CONSTANTS}
    return {
        **arduino_files(parts),
        "library.properties": render_template("export/arduino/library.properties.j2", parts.variables),
        "keywords.txt": render_template("export/arduino/keywords.txt.j2", keywords),
        "README.md": parts.readme(
            "arduino",
            "A library for Arduino",
            _USE,
            {example.name: _sketch(example.name) for example in parts.examples},
        ),
    }


def _sketch(name: str) -> str:
    # The IDE wants a sketch in a folder of its name.
    return f"examples/{name}/{name}.ino"
