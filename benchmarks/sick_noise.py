"""How sick may noise be? Agents in generated C learn from bits that lean, stick together or repeat.

    python -m benchmarks.sick_noise --output docs/results/sick_noise

writes levels.md and sick_noise.svg. 20 seeds a point: CartPole with 8 hidden units, where noise has to find the way,
and Acrobot with two layers of 8. Initial weights, signs, actions and roundings all draw from the sick bits.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrl_edge.agent import EntropySettings
from nrl_edge.fixedpoint.configuration import AgentConfiguration
from nrl_edge.lockstep import Lockstep
from nrl_edge.native import NativeAgent
from nrl_edge.tasks import Task, TaskSettings

SEEDS = range(39000, 39020)
STREAM_BYTES = 2_000_000
"""More than any run here draws: 400 episodes of 500 steps of 4 bytes, and updates."""


@dataclass(frozen=True)
class Sickness:
    """One way in which bits are not random."""

    kind: str
    level: float
    """bias: share of ones; correlation: chance that a bit equals the one before; period: bits until all repeats."""

    def stream(self, seed: int) -> bytes:
        """Bytes of such a source."""
        generator = np.random.default_rng((seed, 7919))
        if self.kind == "period":
            one = generator.integers(0, 2, int(self.level), np.uint8)
            return pack(np.tile(one, 8 * STREAM_BYTES // len(one) + 1)[: 8 * STREAM_BYTES])
        if self.kind == "bias":
            return pack((generator.random(8 * STREAM_BYTES) < self.level).astype(np.uint8))
        changes = (generator.random(8 * STREAM_BYTES) >= self.level).astype(np.uint8)
        return pack(np.bitwise_xor.accumulate(changes))


def pack(bits: NDArray[np.uint8]) -> bytes:
    """Bits to bytes, the low bit first."""
    return np.packbits(bits, bitorder="little").tobytes()


@dataclass(frozen=True)
class Case:
    """A task and its agent."""

    label: str
    task: TaskSettings
    agent: AgentConfiguration
    episodes: int


CASES = (
    Case(
        "CartPole, 8 hidden",
        TaskSettings("CartPole-v1", {}, (0, 0, 3, 0), 475.0),
        AgentConfiguration(4, (8,), 2, learning_rate_exponent=6, clip_exponent=1),
        400,
    ),
    Case(
        "Acrobot, 8-8 hidden",
        TaskSettings("Acrobot-v1", {}, 0, -100.0),
        AgentConfiguration(6, (8, 8), 3, learning_rate_exponent=7, clip_exponent=2),
        400,
    ),
)
LEVELS: dict[str, tuple[float, ...]] = {
    "bias": (0.5, 0.52, 0.55, 0.6, 0.65, 0.7),
    "correlation": (0.5, 0.55, 0.6, 0.7, 0.8, 0.9),
    "period": (65536, 8191, 1024, 255, 64, 8),
}
XLABELS = {
    "bias": "share of ones",
    "correlation": "chance that a bit equals the one before",
    "period": "bits after which the stream repeats",
}


def run(case: Case, sickness: Sickness, seed: int) -> float:
    """Mean return of the last 100 episodes."""
    agent = NativeAgent(case.agent, EntropySettings("replay", recording=sickness.stream(seed)))
    task = Task(case.task)
    try:
        lockstep = Lockstep(agent, task, seed)
        returns = [lockstep.run_episode(episode).episode_return for episode in range(case.episodes)]
    finally:
        task.close()
    if agent.counters().entropy:
        raise AssertionError("the stream was too short: raise STREAM_BYTES")
    return float(np.mean(returns[-100:]))


def _run(arguments: tuple[Case, Sickness, int]) -> float:
    return run(*arguments)


def points() -> Iterator[tuple[Case, Sickness]]:
    """Everything that is measured."""
    for case in CASES:
        for kind, levels in LEVELS.items():
            for level in levels:
                yield case, Sickness(kind, level)


def write_summary(path: Path, results: dict[tuple[str, str, float], list[float]]) -> None:
    """One table a task."""
    lines = []
    for case in CASES:
        lines += [
            f"{case.label}, {len(SEEDS)} seeds, {case.episodes} episodes: mean return of the last 100.",
            "",
            "| bits | level | median | worst | best |",
            "|---|---|---|---|---|",
        ]
        for (label, kind, level), values in results.items():
            if label == case.label:
                figures = " | ".join(f"{value:.1f}" for value in (np.median(values), min(values), max(values)))
                lines.append(f"| {kind} | {level:g} | {figures} |")
        lines.append("")
    path.write_text("\n".join(lines), encoding="utf-8")


def write_figure(path: Path, results: dict[tuple[str, str, float], list[float]]) -> None:
    """Median and all seeds over the level, a row a task."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(CASES), len(LEVELS), figsize=(11, 6), constrained_layout=True, sharey="row")
    for row, case in enumerate(CASES):
        for column, (kind, levels) in enumerate(LEVELS.items()):
            axis = axes[row, column]
            values = [results[case.label, kind, level] for level in levels]
            for level, each in zip(levels, values, strict=True):
                axis.plot([level] * len(each), each, ".", color="#9aa7b8", markersize=4)
            axis.plot(levels, [np.median(each) for each in values], "o-", color="#1f5fa8", label="median")
            if kind == "period":
                axis.set_xscale("log", base=2)
                axis.invert_xaxis()
            axis.set_title(f"{case.label}: {kind}", fontsize=10)
            axis.set_xlabel(XLABELS[kind])
        axes[row, 0].set_ylabel("mean return of the last 100")
    axes[0, 0].legend(frameon=False)
    matplotlib.rcParams["svg.hashsalt"] = "sick_noise"
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Measure everything and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    results: dict[tuple[str, str, float], list[float]] = {}
    with ProcessPoolExecutor(arguments.processes) as pool:
        for case, sickness in points():
            values = list(pool.map(_run, [(case, sickness, seed) for seed in SEEDS]))
            results[case.label, sickness.kind, sickness.level] = values
            print(
                f"{case.label}: {sickness.kind} {sickness.level:g}: median {np.median(values):.1f}, "
                f"worst {min(values):.1f}",
                flush=True,
            )
    write_summary(arguments.output / "levels.md", results)
    write_figure(arguments.output / "sick_noise.svg", results)


if __name__ == "__main__":
    main()
