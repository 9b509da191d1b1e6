"""Exports of all kinds: what is in them, by the rules of those who will read them, and that they compile and learn."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tools import require_tool

from nrl_edge.agent import EPISODE_ENDED
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment, entropy_settings, load_experiment, parse_experiment, resolve_agent
from nrl_edge.export import EXPORT_KINDS, MARKER, example_experiment, export_agent, fitting_examples, render_export
from nrl_edge.fixedpoint.agents import reference_agent
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.native.compiler import compile_c
from nrl_edge.simulation import simulate
from nrl_host.cli import main

STRICT = "-Wall -Wextra -Wconversion -Wsign-conversion -pedantic -Werror"
CATEGORIES = (
    "Display, Communication, Signal Input/Output, Sensors, Device Control, Timing, Data Storage, Data Processing, Other"
)
"""From the Arduino library specification."""

AGENTS = {
    "blink-bandit": example_experiment("blink-bandit"),
    "balance": example_experiment("balance"),
    "two layers": parse_experiment(
        '[task]\nid = "NRL/XOR-v0"\nreward = "immediate"\n[network]\nhidden = [3, 5]\n[arithmetic]\nkind = "tiny"\n'
    ),
    "actor-critic": parse_experiment(
        '[task]\nid = "CartPole-v1"\nobservation_scale = [1, 1, 8, 1]\n[network]\nhidden = [4]\n'
        '[learning]\npreset = "actor-critic"\n'
    ),
    "continuous": parse_experiment(
        '[task]\nid = "Pendulum-v1"\nobservation_scale = [1, 1, 0.25]\n[network]\nhidden = [8]\n'
        '[learning]\npreset = "actor-critic"\ncritic_features = "cubes"\nnoise_draws = 4\n'
    ),
}


@pytest.fixture(params=AGENTS, scope="module")
def agent(request: pytest.FixtureRequest) -> tuple[Experiment, AgentConfiguration]:
    experiment = AGENTS[request.param]
    return experiment, resolve_agent(experiment)


def properties(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


@pytest.mark.slow
def test_every_export_has_the_examples_that_fit_its_agent() -> None:
    found = {
        name: [example.name for example in fitting_examples(experiment, resolve_agent(experiment))]
        for name, experiment in AGENTS.items()
    }
    assert found == {
        "blink-bandit": ["blink-bandit", "sensor-loop"],
        "balance": ["balance", "sensor-loop"],
        "two layers": ["sensor-loop"],
        "actor-critic": ["sensor-loop"],
        "continuous": ["sensor-loop"],
    }


@pytest.mark.slow
def test_an_arduino_library_is_one_by_the_specification(agent: tuple[Experiment, AgentConfiguration]) -> None:
    files = render_export("arduino", *agent, "NrlThing")
    said = properties(files["library.properties"])
    needed = ("name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures")
    assert all(said[key] for key in needed)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.\-]{0,62}", said["name"]) and said["name"] == "NrlThing"
    assert re.fullmatch(r"\d+\.\d+\.\d+", said["version"])
    assert said["category"] in CATEGORIES.split(", ")
    assert said["sentence"].endswith(".") and "\n" not in said["paragraph"]
    assert f"src/{said['includes']}" in files
    # Sources below src only: with a src folder the IDE compiles nothing else.
    assert all(path.startswith("src/") for path in files if path.endswith((".c", ".cpp", ".h")))
    sketches = [path for path in files if path.startswith("examples/")]
    assert sketches and all(re.fullmatch(r"examples/([\w\-]+)/\1\.ino", path) for path in sketches)
    for line in files["keywords.txt"].splitlines():
        assert re.fullmatch(r"\w+\t(KEYWORD1|KEYWORD2|LITERAL1)", line), line
    assert not any(path.endswith((".exe", ".development")) or "/." in path for path in files)
    assert {path.split("/")[0] for path in files} <= {
        *("src", "examples", "library.properties", "keywords.txt", "README.md", "experiment.toml"),
    }


def test_keywords_are_names_that_the_library_has(agent: tuple[Experiment, AgentConfiguration]) -> None:
    files = render_export("arduino", *agent)
    sources = "\n".join(text for path, text in files.items() if path.startswith("src/"))
    optional = {"NrlAgent", "nrl_cartpole_t"}
    for line in files["keywords.txt"].splitlines():
        word = line.split("\t")[0]
        assert word in optional or re.search(rf"\b{word}\b", sources), word


def test_platformio_itself_accepts_both_manifests(
    agent: tuple[Experiment, AgentConfiguration], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = pytest.importorskip("platformio.package.manifest.schema")
    parser = pytest.importorskip("platformio.package.manifest.parser")
    # It would fetch the list of licences from the net.
    licences = {"licenses": [{"licenseId": "MIT"}]}
    monkeypatch.setattr(schema.ManifestSchema, "load_spdx_licenses", staticmethod(lambda: licences))
    for kind, manifest in (("platformio", "library.json"), ("arduino", "library.properties")):
        folder = tmp_path / kind
        export_agent(kind, *agent, folder, name="NrlThing")
        parsed = parser.ManifestParserFactory.new_from_file(str(folder / manifest)).as_dict()
        loaded = schema.ManifestSchema().load_manifest(parsed)
        assert loaded["name"] == "NrlThing"
        for example in loaded.get("examples", []):
            assert all((folder / example["base"] / file).is_file() for file in example["files"])
        if kind == "platformio":
            assert {each["name"] for each in loaded["examples"]} >= {"sensor-loop"}


@pytest.mark.slow
def test_cmake_builds_the_c_export_and_its_examples_run(
    agent: tuple[Experiment, AgentConfiguration], tmp_path: Path
) -> None:
    require_tool("cmake", "apt-get install cmake")
    experiment, configuration = agent
    folder, build = tmp_path / "agent", tmp_path / "build"
    export_agent("c", experiment, configuration, folder)
    commands = [
        ["cmake", "-S", str(folder), "-B", str(build), f"-DCMAKE_C_FLAGS={STRICT}", "-DCMAKE_BUILD_TYPE=Release"],
        ["cmake", "--build", str(build)],
        ["ctest", "--test-dir", str(build), "--output-on-failure"],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"tests passed, 0 tests failed out of {len(fitting_examples(*agent))}" in done.stdout
    if experiment.task.on_chip:
        balanced = subprocess.run([build / "balance"], capture_output=True, text=True, check=True).stdout
        assert f"weights CRC-32: {simulate(experiment, 'native').weights_crc32}" in balanced


def test_a_program_takes_the_c_export_as_a_part(tmp_path: Path) -> None:
    """As docs/export.md shows it, from C++ as well; the examples are then left out."""
    require_tool("cmake", "apt-get install cmake")
    require_tool("c++", "apt-get install g++")
    experiment = AGENTS["two layers"]
    export_agent("c", experiment, resolve_agent(experiment), tmp_path / "agent")
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(mine C CXX)\nadd_subdirectory(agent)\n"
        "add_executable(mine mine.cpp)\ntarget_link_libraries(mine PRIVATE nrl::agent)\n"
    )
    (tmp_path / "mine.cpp").write_text(
        '#include "nrl_loop.h"\n'
        "static void observe(void *, int16_t observation[NRL_INPUTS]) { observation[0] = observation[1] = 100; }\n"
        "static void act(void *, int) {}\n"
        "static int32_t reward(void *, bool *terminated, bool *) { *terminated = true; return 1; }\n"
        "int main() {\n"
        "    static const uint32_t seed[4] = NRL_DEFAULT_SEED_STATE;\n"
        "    static const nrl_loop_config_t config = {observe, act, reward, NULL, NULL, NULL, 0, 0, NULL};\n"
        "    static nrl_entropy_t entropy; static nrl_agent_t agent; static nrl_loop_t loop;\n"
        "    nrl_entropy_seed(&entropy, seed);\n"
        "    nrl_agent_init(&agent, &entropy);\n"
        "    nrl_loop_init(&loop, &agent, &config);\n"
        "    for (int i = 0; i < 9; ++i) { nrl_loop_poll(&loop); }\n"
        "    return agent.episodes == 4 && agent.steps == 5 ? 0 : 1;\n}\n"
    )
    build = tmp_path / "build"
    for command in (
        ["cmake", "-S", str(tmp_path), "-B", str(build), "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror"],
        ["cmake", "--build", str(build)],
        [str(build / "mine")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert not (build / "agent" / "sensor_loop").exists()


CONTINUOUS_PROGRAM = """
#include <stdio.h>

#include "nrl_loop.h"

#define EPISODE_STEPS 30u

static uint32_t state = 1, calls;

/* -512 to 511 */
static int16_t number(void)
{
    state = state * 1664525u + 1013904223u;
    return (int16_t)((int32_t)(state >> 22) - 512);
}

static void observe(void *context, int16_t observation[NRL_INPUTS])
{
    (void)context;
    for (int i = 0; i < NRL_INPUTS; ++i) {
        observation[i] = number();
    }
}

static void act(void *context, const int16_t action[NRL_OUTPUTS])
{
    (void)context;
    for (int i = 0; i < NRL_OUTPUTS; ++i) {
        printf("%d\\n", action[i]);
    }
}

static int32_t reward(void *context, bool *terminated, bool *truncated)
{
    (void)context;
    ++calls;
    *terminated = calls % (2u * EPISODE_STEPS) == 0u;
    *truncated = !*terminated && calls % EPISODE_STEPS == 0u;
    return number();
}

int main(void)
{
    static const uint32_t seed[4] = NRL_DEFAULT_SEED_STATE;
    static const nrl_loop_config_t config = {observe, act, reward, NULL, NULL, NULL, 0, 0, NULL};
    static nrl_entropy_t entropy;
    static nrl_agent_t agent;
    static nrl_loop_t loop;

    nrl_entropy_seed(&entropy, seed);
    if (nrl_agent_init(&agent, &entropy) != NRL_OK) {
        return 1;
    }
    nrl_loop_init(&loop, &agent, &config);
    while (agent.episodes < 6u) {
        if (nrl_loop_poll(&loop) < 0) {
            return 1;
        }
    }
    printf("%08lx\\n", (unsigned long)nrl_agent_weights_crc32(&agent));
    return 0;
}
"""


def test_the_loop_of_a_continuous_agent_acts_and_learns_as_the_reference_does(tmp_path: Path) -> None:
    experiment = replace(AGENTS["continuous"], network=replace(AGENTS["continuous"].network, hidden=(5, 4)))
    configuration = resolve_agent(experiment)
    # Several numbers an action, as Pendulum has not.
    configuration = replace(configuration, actions=2)
    export_agent("c", experiment, configuration, tmp_path)
    (tmp_path / "program.c").write_text(CONTINUOUS_PROGRAM)
    program = compile_c(
        [tmp_path / "program.c", *(tmp_path / "src").glob("*.c")],
        tmp_path / "program",
        include_folders=[tmp_path / "include"],
        extra_flags=STRICT.split(),
    )
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()

    random = 1

    def number() -> int:
        nonlocal random
        random = (random * 1664525 + 1013904223) % 2**32
        return (random >> 22) - 512

    reference = reference_agent(configuration, entropy_settings(experiment))
    expected: list[str] = []
    calls, is_open, episodes = 0, False, 0
    while episodes < 6:
        reward, terminated, truncated = 0, False, False
        if is_open:
            calls += 1
            terminated = calls % 60 == 0
            truncated = not terminated and calls % 30 == 0
            reward = number()
        observation = np.array([number() for _ in range(3)], dtype=np.int16)
        is_open = reference.step(observation, reward, terminated, truncated) != EPISODE_ENDED
        episodes += not is_open
        if is_open:
            expected += [str(each) for each in reference.action_outputs]
    assert said == [*expected, f"{reference.weights_crc32():08x}"]
    assert len(set(expected)) > 200


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb", "avr-gcc -mmcu=atmega328p"])
def test_sources_of_every_kind_compile_for_a_chip_without_a_flag(compiler: str, agent, tmp_path: Path) -> None:
    """Nothing but the folder of headers, as libraries are compiled; on AVR the tables stay in flash by themselves."""
    program, *flags = compiler.split()
    require_tool(program, "apt-get install gcc-arm-none-eabi gcc-avr avr-libc")
    files = render_export("platformio", *agent)
    for path, text in files.items():
        if path.startswith("src/"):
            (tmp_path / Path(path).name).write_text(text)
    sources = [path for path in tmp_path.iterdir() if path.suffix == ".c"]
    freestanding = ["-ffreestanding", "-nostdlib"] if "arm" in program else []
    subprocess.run(
        [program, *flags, *freestanding, "-Wall", "-Wextra", "-Werror", "-Os", "-c", *sources], cwd=tmp_path, check=True
    )
    if program == "avr-gcc":
        sections = subprocess.run(
            ["avr-objdump", "-h", "nrl_math.o"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert ".progmem" in sections.stdout and ".rodata" not in sections.stdout


# Writing


def test_an_export_replaces_an_export_and_nothing_else(tmp_path: Path) -> None:
    bandit, pole = AGENTS["blink-bandit"], AGENTS["balance"]
    folder = tmp_path / "library"
    export_agent("arduino", pole, resolve_agent(pole), folder)
    mine = folder / "examples" / "mine.txt"
    mine.write_text("mine")
    export_agent("arduino", bandit, resolve_agent(bandit), folder)
    assert mine.read_text() == "mine"
    assert not list(folder.rglob("*cartpole*")) and not list(folder.rglob("balance.ino"))
    manifest = json.loads((folder / MARKER).read_text())
    assert sorted(manifest["files"] + [MARKER, "examples/mine.txt"]) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    assert load_experiment(folder / "experiment.toml").task.id == bandit.task.id


def test_a_folder_with_other_things_is_refused_unless_forced(tmp_path: Path) -> None:
    experiment = AGENTS["blink-bandit"]
    configuration = resolve_agent(experiment)
    (tmp_path / "thesis.tex").write_text("years of work")
    for dry_run in (False, True):
        with pytest.raises(ConfigurationError, match=r"holds no export.*--force"):
            export_agent("c", experiment, configuration, tmp_path, dry_run=dry_run)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    export_agent("c", experiment, configuration, tmp_path, force=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work" and (tmp_path / "CMakeLists.txt").is_file()


def test_a_dry_run_lists_all_and_writes_nothing(tmp_path: Path) -> None:
    experiment = AGENTS["blink-bandit"]
    configuration = resolve_agent(experiment)
    listed = export_agent("arduino", experiment, configuration, tmp_path / "new", dry_run=True)
    assert not (tmp_path / "new").exists()
    assert listed == export_agent("arduino", experiment, configuration, tmp_path / "new")
    assert all(path.is_file() for path in listed)


def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["nrl-edge", "export", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), capsys.readouterr().out


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lights"
    asked = ("arduino", "--example", "blink-bandit", "--output", str(folder), "--json")
    code, out = command(capsys, monkeypatch, *asked, "--dry-run")
    planned = json.loads(out.splitlines()[-1])
    assert code == 0 and planned["written"] is False and not folder.exists()
    code, out = command(capsys, monkeypatch, *asked)
    result = json.loads(out.splitlines()[-1])
    assert (code, result["examples"], result["files"]) == (0, ["blink-bandit", "sensor-loop"], planned["files"])
    for words, expected in (
        (("ardunio", "--example", "balance"), "did you mean arduino"),
        (("c",), "an experiment file, or --example"),
        (("c", str(folder / "experiment.toml"), "--example", "balance"), "not both"),
        (("c", "--example", "sensor-loop"), "sensor-loop is in every export"),
        (("c", "--example", "blink-bandid"), "own are blink-bandit, balance; did you mean blink-bandit?"),
        (("c", "--example", "juggle"), "own are blink-bandit, balance."),
        (("c", "--example", "ballance"), "did you mean balance"),
        (("c", "--example", "balance", "--name", "2nd try"), "begins with a letter"),
        (("c", "--example", "balance", "--output", str(folder / "README.md")), "is a file"),
    ):
        code, out = command(capsys, monkeypatch, *words, "--json")
        assert code == 2 and expected in json.loads(out.splitlines()[-1])["error"], words
    assert shutil.which("nrl-edge") is None or EXPORT_KINDS == ("arduino", "platformio", "c")


def test_the_text_of_exports_has_no_place_and_no_time_in_it(agent: tuple[Experiment, AgentConfiguration]) -> None:
    for kind in EXPORT_KINDS:
        files = render_export(kind, *agent)
        assert files == render_export(kind, *agent)
        for path, text in files.items():
            assert not re.search(r"/home/|/tmp/|/root/|20[0-9]{2}-[0-9]{2}-", text), path
            assert "\t" not in text or path == "keywords.txt", path
            # No template was left half filled in.
            assert "{{" not in text and "{%" not in text, path
