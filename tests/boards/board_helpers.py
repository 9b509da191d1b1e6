"""What the tests of all boards share: the tools they need, small experiments, runs that must equal the reference."""

from __future__ import annotations

from tools import require_board

from nrl_edge.experiment import Experiment, entropy_settings, parse_experiment, resolve_agent
from nrl_edge.simulation import RunSummary, run_agent, simulate
from nrl_host.device import LinkAgent
from nrl_host.link import Link
from nrl_host.targets import Target, make_target

EXPERIMENT = """
[task]
id = "CartPole-v1"
observation_scale = [1, 1, 8, 1]
[network]
hidden = [{hidden}]
[learning]
preset = "{preset}"
learning_rate = "2^-6"
episodes = {episodes}
[arithmetic]
kind = "{kind}"
"""
WARNINGS = (
    *("-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"),
    "-Werror",
)


def cartpole(*, episodes: int = 3, hidden: int = 8, kind: str = "int16", preset: str = "edge") -> Experiment:
    return parse_experiment(EXPERIMENT.format(episodes=episodes, hidden=hidden, kind=kind, preset=preset))


def run_on(target: Target, experiment: Experiment) -> RunSummary:
    """Run on a target, and leave it running."""
    with Link(target.url) as link:
        agent = LinkAgent(link, resolve_agent(experiment), entropy_settings(experiment))
        return run_agent(agent, experiment, link.hello.board)


def equals_the_reference(board_id: str, experiment: Experiment) -> RunSummary:
    """HELLO and all episodes on an emulated board; weights, counters and returns have to be the reference's."""
    require_board(board_id)
    reference = simulate(experiment, "reference")
    with make_target(board_id, resolve_agent(experiment), seed=experiment.entropy.seed) as target:
        emulated = run_on(target, experiment)
    assert emulated.target == board_id
    assert (emulated.weights_crc32, emulated.counters, emulated.steps, emulated.mean_return_last_100) == (
        reference.weights_crc32,
        reference.counters,
        reference.steps,
        reference.mean_return_last_100,
    )
    assert emulated.steps > experiment.learning.episodes
    return emulated


def snapshots_travel(board_id: str, hidden: int = 64) -> None:
    """What a board has learned goes to another boot of it, in the largest frames there are, both ways."""
    require_board(board_id)
    experiment = cartpole(episodes=2, hidden=hidden)
    configuration = resolve_agent(experiment)
    with make_target(board_id, configuration) as target:
        with Link(target.url) as link:
            learned = LinkAgent(link, configuration, entropy_settings(experiment))
            run_agent(learned, experiment, board_id)
            snapshot, weights = learned.snapshot(), learned.weights_crc32()
        target.restart()
        with Link(target.url) as link:
            fresh = LinkAgent(link, configuration, entropy_settings(experiment), begin=False)
            assert fresh.weights_crc32() != weights
            fresh.restore(snapshot)
            assert (fresh.weights_crc32(), fresh.snapshot()) == (weights, snapshot)
            counters = fresh.link_counters()
    # A byte that found no room would show here.
    assert counters["host"]["bad_crc"] == counters["device"]["bad_crc"] == 0
