"""Plain C files with a CMake target."""

from __future__ import annotations

from nrl_edge.codegen.render import render_template
from nrl_edge.export.parts import Parts

_USE = """Plain C99. With CMake: `add_subdirectory(...)`, then `target_link_libraries(YOURS PRIVATE nrl::agent)`.
With anything else: compile `src/*.c` and put `include/` on the path of headers. By itself,

    cmake -B build && cmake --build build && ctest --test-dir build

builds the examples and runs them on this computer."""


def render_plain_c(parts: Parts) -> dict[str, str]:
    """The files: {path: text}; headers in `include/`, sources in `src/`, examples in `examples/`."""
    files = {f"{'include' if name.endswith('.h') else 'src'}/{name}": text for name, text in parts.sources.items()}
    paths = {example.name: f"examples/{example.c_name}.c" for example in parts.examples}
    for example in parts.examples:
        files[paths[example.name]] = parts.example_text(example, ".c")
    files["CMakeLists.txt"] = render_template(
        "export/c/CMakeLists.txt.j2",
        {
            **parts.variables,
            "target": parts.name,
            "sources": [f"src/{name}" for name in parts.c_files],
            "examples": [example.c_name for example in parts.examples],
        },
    )
    files["README.md"] = parts.readme("c", "C files", _USE, paths)
    return files
