"""A PlatformIO library: the sources of the Arduino library with PlatformIO's manifest."""

from __future__ import annotations

import json

from nrl_edge import __version__
from nrl_edge.export.arduino import arduino_files
from nrl_edge.export.parts import Parts

_USE = """Put this folder into `lib/` of a PlatformIO project, or name it in `lib_deps` (`symlink://PATH`). It works
with any framework or none: `nrl_arduino.h` and the sketches are for `framework = arduino`, the rest is plain C99."""


def render_platformio(parts: Parts) -> dict[str, str]:
    """The library: {path: text}."""
    files = arduino_files(parts)
    sketches = {example.name: f"examples/{example.name}/{example.name}.ino" for example in parts.examples}
    manifest = {
        "name": parts.name,
        "version": __version__,
        "description": f"An agent that keeps learning on the microcontroller: {parts.configuration.description}",
        "keywords": ["reinforcement learning", "on-device learning", "fixed-point", "TinyML"],
        "authors": [{"name": "nrl_edge"}],
        "license": "MIT",
        "frameworks": "*",
        "platforms": "*",
        "headers": f"{parts.name}.h",
        "examples": [
            {"name": name, "base": path.rpartition("/")[0], "files": [path.rpartition("/")[2]]}
            for name, path in sketches.items()
        ],
    }
    files["library.json"] = json.dumps(manifest, indent=2) + "\n"
    files["README.md"] = parts.readme("platformio", "A PlatformIO library", _USE, sketches)
    return files
