"""The generated sources: complete, reproducible, clean for both compilers, and free of libc."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nrl_edge.codegen.core import render_core
from nrl_edge.codegen.firmware import render_firmware
from nrl_edge.codegen.render import write_files
from nrl_edge.errors import ConfigurationError
from nrl_edge.fixedpoint.configuration import AgentConfiguration, Formats

CONFIGURATIONS = [
    AgentConfiguration(4, (64,), 2),
    AgentConfiguration(64, (16, 8), 16, Formats(8, 10, 5, 0, 8), clip_exponent=None),
    AgentConfiguration(1, (1, 1, 1), 2, Formats(trace_frac_bits=8), immediate_reward=True),
    AgentConfiguration(5, (7, 3), 4, Formats(trace_frac_bits=8), 1, 3, preset="actor-critic"),
]
WARNINGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Werror"]
FREESTANDING = ["-std=c99", "-Os", "-ffreestanding", "-nostdlib", "-r"]
ALLOWED_UNDEFINED = {"memcpy", "memset", "memmove", "memcmp"}


def render(configuration: AgentConfiguration, **options: Any) -> dict[str, str]:
    options = {"seed": 1, "entropy_mode": "seeded"} | options
    return render_firmware(configuration, **options)


def find_compiler(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"this test needs {name}: apt-get install {name}"
    return found


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: "-".join(map(str, c.layer_sizes)))
@pytest.mark.parametrize("optimise", ["-O0", "-Os"])
def test_both_compilers_have_nothing_to_say(
    tmp_path: Path, compiler: str, configuration: AgentConfiguration, optimise: str
) -> None:
    files = render(configuration, data_bytes=16 if optimise == "-Os" else 240, entropy_mode="raw")
    write_files(files, tmp_path)
    sources = [str(tmp_path / path) for path in files if path.endswith(".c")]
    subprocess.run(
        [
            find_compiler(compiler),
            *WARNINGS,
            optimise,
            f"-I{tmp_path / 'include'}",
            *sources,
            "-o",
            tmp_path / "program",
        ],
        check=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_agent_and_link_need_no_library(tmp_path: Path, compiler: str) -> None:
    files = render(CONFIGURATIONS[0])
    write_files(files, tmp_path)
    sources = [str(tmp_path / path) for path in files if path.startswith(("src/core/", "src/noise/", "src/link/"))]
    object_file = tmp_path / "agent.o"
    subprocess.run(
        [find_compiler(compiler), *FREESTANDING, f"-I{tmp_path / 'include'}", *sources, "-o", object_file],
        check=True,
    )
    listing = subprocess.run(["nm", "-u", object_file], check=True, capture_output=True, text=True).stdout
    undefined = {line.split()[-1] for line in listing.splitlines()} - {"_GLOBAL_OFFSET_TABLE_"}
    assert {name for name in undefined if not name.startswith("nrl_port_")} <= ALLOWED_UNDEFINED


def test_headers_are_fit_for_cpp(tmp_path: Path) -> None:
    files = render(CONFIGURATIONS[0])
    write_files(files, tmp_path)
    source = tmp_path / "all.cpp"
    source.write_text('#include "nrl_link.h"\n#include "nrl_port.h"\nint main() { return sizeof(nrl_link_t) == 0; }\n')
    subprocess.run(
        [
            find_compiler("clang"),
            "-xc++",
            "-std=c++11",
            "-Wall",
            "-Werror",
            f"-I{tmp_path / 'include'}",
            "-fsyntax-only",
            source,
        ],
        check=True,
    )


def test_the_same_arguments_give_the_same_text() -> None:
    assert render(CONFIGURATIONS[0]) == render(CONFIGURATIONS[0])


def test_the_build_id_is_of_everything_that_is_compiled() -> None:
    variants = [
        render(CONFIGURATIONS[0]),
        render(CONFIGURATIONS[1]),
        render(CONFIGURATIONS[0], seed=2),
        render(CONFIGURATIONS[0], entropy_mode="raw"),
        render(CONFIGURATIONS[0], data_bytes=64),
    ]
    identities = {
        next(line for line in files["include/nrl_project.h"].splitlines() if line.count("0x") == 8)
        for files in variants
    }
    assert len(identities) == len(variants)


def test_the_project_holds_core_link_port_and_main() -> None:
    files = render(CONFIGURATIONS[0])
    for name, text in render_core(CONFIGURATIONS[0], 1).items():
        assert files[f"include/{name}" if name.endswith(".h") else f"src/core/{name}"] == text
    assert {"src/main.c", "src/link/nrl_link.c", "src/link/nrl_frames.c", "include/nrl_port.h"} <= set(files)
    assert not [path for path in files if path.endswith(".j2")]
    assert not [path for path, text in files.items() if "{{" in text or "{%" in text]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"entropy_mode": "replay"}, "replay"),
        ({"entropy_mode": "expanded", "board": "uno"}, "no hardware generator, which entropy mode 'expanded' reads"),
        ({"board": "toaster"}, "unknown board"),
        ({"data_bytes": 15}, "16 to 240"),
        ({"data_bytes": 241}, "16 to 240"),
    ],
)
def test_what_cannot_be_generated_is_said(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        render(CONFIGURATIONS[0], **options)
