"""The Arduino export on an Uno: compiled with Debian's Arduino core as it is, run in libsimavr, and it learns there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from arduino_builder import PLATFORM, Build
from tools import SIMAVR_HEADER, require_file, require_tool

from nrl_edge.experiment import Experiment, parse_experiment, resolve_agent
from nrl_edge.export import example_experiment, export_agent
from nrl_edge.native.compiler import compile_c
from nrl_edge.simulation import simulate

HARNESS = Path(__file__).resolve().parent / "harness"
FLASH_BYTES, RAM_BYTES = 32256, 2048
TRIAL_MS = 20


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    require_file(PLATFORM / "platform.txt", "apt-get install arduino-core-avr")
    require_file(SIMAVR_HEADER, "apt-get install libsimavr-dev libelf-dev")
    require_tool("avr-gcc", "apt-get install gcc-avr avr-libc")


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_c(
        [HARNESS / "uno_person.c"],
        tmp_path_factory.mktemp("person") / "uno_person",
        extra_flags=("-std=gnu11", "-w"),
        libraries=("-lsimavr", "-lelf"),
    )


def built(folder: Path, experiment: Experiment, example: str, *defines: str) -> tuple[Path, tuple[int, int]]:
    library = folder / "library"
    export_agent("arduino", experiment, resolve_agent(experiment), library, name="NrlUno")
    build = Build(folder / "build", defines=defines)
    return build.sketch(library / "examples" / example / f"{example}.ino", library), build.sizes()


@pytest.fixture(scope="module")
def bandit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[int, int]]:
    # Trials of 20 ms instead of 1.5 s: the same program in less of the emulator's time.
    return built(
        tmp_path_factory.mktemp("bandit"), example_experiment("blink-bandit"), "blink-bandit", f"TRIAL_MS={TRIAL_MS}"
    )


def lights(person: Path, image: Path, liked: int, count: int, noise: int) -> list[int]:
    command = [str(person), str(image), str(liked), str(count), str(noise)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [int(line) for line in done.stdout.splitlines() if line in ("0", "1", "2", "3")]


@pytest.mark.slow
def test_the_rewarded_light_becomes_the_usual_one(bandit: tuple[Path, tuple[int, int]], person: Path) -> None:
    image, (flash, ram) = bandit
    page = " ".join((Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8").split())
    assert f"for the Uno: {flash / 1000:.1f} kB of flash and {ram} bytes of RAM" in page
    assert flash < 0.6 * FLASH_BYTES and ram < RAM_BYTES // 2
    seen = {}
    for liked, noise in ((2, 1), (0, 2)):
        shown = seen[noise] = lights(person, image, liked, 100, noise)
        assert len(shown) == 100
        # At first others too, at the end nearly always the liked one.
        assert len(set(shown[:15])) >= 2, shown
        assert shown[-30:].count(liked) >= 27, shown
    # What the pins read chooses the agent's life: neither life is the other with lights exchanged.
    assert seen[1][:15] != seen[2][:15]


@pytest.mark.slow
def test_with_nobody_there_no_light_is_preferred_for_long(bandit: tuple[Path, tuple[int, int]], person: Path) -> None:
    """The button is what it learns from: without it, every light disappoints, and so all of them are tried."""
    shown = lights(person, bandit[0], -1, 80, 3)
    assert set(shown[-40:]) == {0, 1, 2, 3}
    assert max(shown.count(light) for light in range(4)) < 40


@pytest.mark.slow
def test_balance_on_the_uno_is_balance_on_the_desk(tmp_path: Path, person: Path) -> None:
    experiment = parse_experiment(example_experiment("balance").to_toml().replace("episodes = 400", "episodes = 12"))
    image, (flash, ram) = built(tmp_path, experiment, "balance")
    assert flash < FLASH_BYTES and ram < RAM_BYTES
    # The light on the board is on PB5, where nobody looks: the text on the serial line is what counts.
    command = [str(person), str(image), "-1", "1", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line.strip())
            if "CRC-32" in line:
                break
        process.kill()
    returns: list[float] = []
    expected = simulate(experiment, "native", on_episode=lambda outcome, _: returns.append(outcome.episode_return))
    assert [int(line) for line in lines if line.isdigit()] == [int(each) for each in returns]
    assert int(lines[-1].split(": ")[1], 16) == int(expected.weights_crc32, 16)


@pytest.mark.slow
def test_the_skeleton_compiles_for_the_uno_with_any_agent(tmp_path: Path) -> None:
    for number, text in enumerate(
        (
            '[task]\nid = "CartPole-v1"\n[network]\nhidden = [8]\n',
            '[task]\nid = "NRL/XOR-v0"\nreward = "immediate"\n[network]\nhidden = [4]\n[arithmetic]\nkind = "tiny"\n',
            '[task]\nid = "Pendulum-v1"\n[network]\nhidden = [8]\n[learning]\npreset = "actor-critic"\n'
            'critic_features = "cubes"\nnoise_draws = 4\n',
        )
    ):
        _, (flash, ram) = built(tmp_path / str(number), parse_experiment(text), "sensor-loop")
        assert flash < FLASH_BYTES and ram < RAM_BYTES
