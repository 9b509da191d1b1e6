"""Boards that simulate CartPole themselves: they learn with no host in the loop, and hold the weights of the desk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tools import require_board

from nrl_edge.boards import load_boards
from nrl_edge.codegen.options import firmware_options
from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.experiment import (
    Experiment,
    entropy_settings,
    load_experiment,
    new_experiment,
    parse_experiment,
    resolve_agent,
)
from nrl_edge.runs import RunFolder
from nrl_edge.simulation import RunSummary, simulate
from nrl_host.device import LinkAgent
from nrl_host.hil import run_hil, simulate_firmware
from nrl_host.link import Link, RequestRefusedError
from nrl_host.link.messages import MESSAGES
from nrl_host.on_chip import listen_on_chip
from nrl_host.targets import make_target
from nrl_host.targets.desktop import DesktopTarget

EVIDENCE_EPISODES = 140
"""Enough for a mean of 195 over the last hundred."""


def balance(folder: Path, **overrides: int) -> Experiment:
    return load_experiment(new_experiment(folder, "balance")).with_overrides(**overrides)


def no_warning(sentence: str) -> None:
    raise AssertionError(sentence)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, RunSummary, list[float]]:
    experiment = balance(tmp_path_factory.mktemp("short"), episodes=25, seed=5)
    returns: list[float] = []
    summary = simulate(
        experiment, "native", on_episode=lambda outcome, statistics: returns.append(outcome.episode_return)
    )
    return experiment, summary, returns


def test_the_desktop_firmware_learns_alone_what_it_learns_with_a_host(short) -> None:
    experiment, expected, returns = short
    heard: list[float] = []
    summary = simulate_firmware(
        experiment, on_episode=lambda outcome, statistics: heard.append(outcome.episode_return), on_warning=no_warning
    )
    assert heard == returns
    assert (summary.weights_crc32, summary.episodes, summary.steps) == (
        expected.weights_crc32,
        25,
        expected.steps,
    )
    assert summary.mean_return_last_100 == expected.mean_return_last_100
    assert summary.target == "desktop, on chip"
    # Greeting, begin, status and counters: no step came from here.
    assert summary.link is not None and summary.link["device"]["frames_in"] < 12
    with_host = replace(experiment, task=replace(experiment.task, on_chip=False))
    assert simulate_firmware(with_host).weights_crc32 == expected.weights_crc32
    assert simulate(replace(experiment), "reference").weights_crc32 == expected.weights_crc32


@pytest.mark.parametrize("arithmetic", ["tiny", "actor-critic"])
def test_other_formats_and_rules_learn_on_the_chip_too(tmp_path: Path, arithmetic: str) -> None:
    experiment = balance(tmp_path, episodes=15)
    if arithmetic == "tiny":
        experiment = parse_experiment(experiment.to_toml().replace('kind = "int16"', 'kind = "tiny"'))
    else:
        learning = replace(
            experiment.learning, preset="actor-critic", learning_rate=0.5, clip=0.125, critic_features="products"
        )
        experiment = parse_experiment(replace(experiment, learning=learning).to_toml())
    assert experiment.task.on_chip
    assert simulate_firmware(experiment).weights_crc32 == simulate(experiment, "native").weights_crc32


def test_a_host_may_begin_anew_in_mid_episode_and_read_but_not_step(short, tmp_path: Path) -> None:
    experiment, expected, _ = short
    configuration = resolve_agent(experiment)
    options = firmware_options(experiment)
    with DesktopTarget(configuration, seed=experiment.entropy.seed, options=options) as target:
        with Link(target.url) as link:
            agent = LinkAgent(link, configuration, entropy_settings(experiment), begin=False)
            for _ in range(30):
                agent.begin()
            with pytest.raises(RequestRefusedError, match="acts in an environment of its own") as refused:
                link.request(MESSAGES["STEP"]((0, 0, 0, 0), 0, 0))
            assert refused.value.code_name == "AUTONOMOUS"
        assert run_hil(experiment, target.url, on_warning=no_warning).weights_crc32 == expected.weights_crc32


def test_a_board_that_lost_its_power_goes_on_to_the_same_weights(short) -> None:
    """The episode's number is in the weight store, and an episode depends on its number alone."""
    experiment, expected, _ = short
    experiment = replace(experiment, store=replace(experiment.store, save_every=4))
    configuration, options = resolve_agent(experiment), firmware_options(experiment)
    short_life = replace(options, environment=replace(options.environment, episodes=10))
    with DesktopTarget(configuration, seed=experiment.entropy.seed, options=short_life) as target:
        first = run_hil(experiment.with_overrides(episodes=10), target.url)
        assert first.episodes == 10 and first.weights_crc32 != expected.weights_crc32
        nvm = Path(target._memory.name, "nvm.bin").read_bytes()
    kept = Path(short[0].folder or Path(), "nvm.bin")
    kept.write_bytes(nvm)
    with (
        DesktopTarget(configuration, seed=experiment.entropy.seed, options=options, nvm=kept) as target,
        Link(target.url) as link,
    ):
        agent = LinkAgent(link, configuration, entropy_settings(experiment), begin=False)
        assert agent.store_status().restored == 1
        while link.telemetry[-1].episode < 25 if link.telemetry else True:
            link.listen(1.0)
        # Images were of episodes 4 and 8: the last two were done over.
        assert link.telemetry[0].episode == 9
        assert f"{agent.weights_crc32():08x}" == expected.weights_crc32


def test_a_run_folder_keeps_curve_and_weights(short, tmp_path: Path) -> None:
    experiment, expected, returns = short
    run_folder = tmp_path / "run"
    summary = simulate_firmware(experiment, run=run_folder)
    folder = RunFolder.open(run_folder)
    assert folder.progress().episode_return.tolist() == returns
    assert summary.weights_crc32 == expected.weights_crc32 in (run_folder / "result.json").read_text()
    with pytest.raises(ConfigurationError, match="goes on by itself"):
        simulate_firmware(experiment, run=run_folder, resume=True)


def test_only_tasks_that_firmware_knows_run_on_the_chip() -> None:
    text = '[task]\nid = "CartPole-v1"\non_chip = true\n'
    with pytest.raises(ConfigurationError, match=r"task\.on_chip.*NRL/FixedCartPole-v0"):
        parse_experiment(text)
    experiment = parse_experiment('[task]\nid = "NRL/FixedCartPole-v0"\non_chip = true\n')
    assert parse_experiment(experiment.to_toml()) == experiment
    assert "on_chip" not in parse_experiment('[task]\nid = "CartPole-v1"\n').to_toml()


def test_a_listener_that_misses_an_episode_says_so(short, tmp_path: Path) -> None:
    from nrl_host.on_chip import OnChipListener

    experiment = short[0]
    configuration = resolve_agent(experiment)
    heard = []
    listener = OnChipListener(experiment, configuration, lambda outcome, statistics: heard.append(outcome.episode))

    def telemetry(episode: int) -> object:
        values = dict.fromkeys(MESSAGES["TELEMETRY"]._fields, 0) | {"episode": episode, "episode_steps": 7}
        return MESSAGES["TELEMETRY"](**values)

    for episode in (1, 2, 2, 1, 5):
        listener.take(telemetry(episode))
    assert (heard, listener.missed, listener.heard, listener.steps) == ([0, 1, 4], 2, 5, 21)
    with RunFolder.create(tmp_path / "run", experiment, "test", agent=configuration) as folder:
        listener = OnChipListener(experiment, configuration, lambda outcome, statistics: None, folder)
        listener.take(telemetry(1))
        with pytest.raises(RunError, match="episodes 2 to 3 were not heard of"):
            listener.take(telemetry(4))


# Evidence: every emulated board balances with no host, and ends with the weights of the desk.

EMULATED = [board.id for board in load_boards() if board.emulator is not None]


@pytest.fixture(scope="module")
def on_the_desk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, RunSummary]:
    experiment = balance(tmp_path_factory.mktemp("balance"), episodes=EVIDENCE_EPISODES)
    return experiment, simulate(experiment, "native")


def test_the_boards_have_five_instruction_sets() -> None:
    assert {"avr", "rv32imc", "armv6-m", "armv7e-m", "armv8-m.main"} <= {
        board.isa for board in load_boards() if board.id in EMULATED
    }


@pytest.mark.slow
@pytest.mark.parametrize("board_id", EMULATED)
def test_every_emulated_board_balances_by_itself(board_id: str, on_the_desk) -> None:
    require_board(board_id)
    experiment, expected = on_the_desk
    summary = simulate_firmware(experiment, board=board_id, on_warning=no_warning)
    assert summary.mean_return_last_100 >= 195.0
    assert summary.weights_crc32 == expected.weights_crc32
    assert (summary.episodes, summary.steps) == (EVIDENCE_EPISODES, expected.steps)


@pytest.mark.slow
def test_a_microbit_balances_on_its_own_hardware_noise(tmp_path: Path) -> None:
    require_board("microbit")
    text = balance(tmp_path, episodes=EVIDENCE_EPISODES).to_toml().replace('mode = "seeded"', 'mode = "raw"')
    experiment = parse_experiment(text)
    summary = simulate_firmware(experiment, board="microbit")
    assert summary.mean_return_last_100 >= 100.0
    assert summary.noise is not None and summary.noise["failed_draws"] == 0


def test_a_target_for_the_chip_has_its_environment() -> None:
    experiment = parse_experiment('[task]\nid = "NRL/FixedCartPole-v0"\non_chip = true\n[network]\nhidden = [16]\n')
    target = make_target("desktop", resolve_agent(experiment), options=firmware_options(experiment))
    assert target._options.environment.scale_exponents == (0, 0, 3, 0)


def test_the_page_shows_the_table_that_the_boards_gave() -> None:
    docs = Path(__file__).resolve().parent.parent.parent / "docs"
    table = (docs / "results" / "on_chip" / "boards.md").read_text(encoding="utf-8")
    assert table in (docs / "on-chip.md").read_text(encoding="utf-8")
    assert "NOT EQUAL" not in table and table.count("| equal |") == 11


def test_what_a_board_told_before_it_began_anew_is_not_taken_for_news(short) -> None:
    """It learns from its start, whoever listens: when BEGIN comes, its line may hold an earlier life's episodes."""
    experiment, expected, returns = short
    heard: list[float] = []
    with (
        DesktopTarget(resolve_agent(experiment), seed=6, options=firmware_options(experiment)) as target,
        Link(target.url) as link,
    ):
        # All that is read comes late, as on a computer that is busy elsewhere: ten episodes wait when BEGIN is sent.
        behind, port = bytearray(), link._port
        while behind.count(0) < 10:
            behind += port.read(64)

        class Late:
            def __getattr__(self, name: str):
                return getattr(port, name)

            def read(self, size: int) -> bytes:
                if not behind:
                    return port.read(size)
                taken = bytes(behind[:size])
                del behind[:size]
                return taken

        link._port = Late()
        summary = listen_on_chip(
            experiment,
            link,
            resolve_agent(experiment),
            begin=True,
            on_episode=lambda outcome, statistics: heard.append(outcome.episode_return),
            on_warning=no_warning,
        )
    assert heard == returns
    assert (summary.weights_crc32, summary.episodes) == (expected.weights_crc32, len(returns))
