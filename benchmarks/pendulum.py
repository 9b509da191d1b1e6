"""Pendulum-v1 with its dynamics in C around the generated agent: the seeds of studies/pendulum.toml, quickly.

    python -m benchmarks.pendulum [--seeds FROM:TO] [--episodes N] [--check]

The episodes are gymnasium's own (same starts, same dynamics); `--check` runs the first seed for some episodes in
gymnasium as well and compares the weights.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nrl_edge.codegen.core import seed_state, write_core
from nrl_edge.experiment import resolve_agent
from nrl_edge.learning.trainer import episodes_to_threshold
from nrl_edge.native.compiler import compile_c
from nrl_edge.simulation import simulate
from nrl_edge.study.definition import load_study
from nrl_edge.tasks import episode_seed
from nrl_edge.tasks.seeding import environment_generator

STUDY = Path(__file__).parents[1] / "studies" / "pendulum.toml"
CHECKED_EPISODES = 5


def run_seed(program: Path, folder: Path, seed: int, episodes: int) -> tuple[NDArray[np.float64], str]:
    """Returns of the episodes, and the CRC-32 of the final weights."""
    high = np.array([np.pi, 1.0])
    generators = (environment_generator(episode_seed(seed, episode)) for episode in range(episodes))
    starts = folder / "starts"
    np.array([generator.uniform(low=-high, high=high) for generator in generators]).tofile(starts)
    state = [str(word) for word in seed_state(seed)]
    done = subprocess.run([program, starts, str(episodes), *state], capture_output=True, text=True, check=True)
    *returns, crc = done.stdout.split()
    return np.array(returns, float), crc


def main() -> int:
    """Run it; exit code 1 where `--check` finds other weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="48000:48040")
    parser.add_argument("--episodes", type=int, default=1500)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    first, last = (int(part) for part in arguments.seeds.split(":"))
    experiment = next(v.experiment for v in load_study(STUDY).variants if v.configuration is not None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = [path for path in write_core(resolve_agent(experiment), folder) if path.suffix == ".c"]
        program = compile_c(
            [*sources, Path(__file__).with_suffix(".c")],
            folder / "pendulum",
            include_folders=[folder],
            extra_flags=("-O3",),
            libraries=("-lm",),
        )
        if arguments.check:
            _, crc = run_seed(program, folder, first, CHECKED_EPISODES)
            same = simulate(experiment.with_overrides(seed=first, episodes=CHECKED_EPISODES), "native").weights_crc32
            print(f"weights after {CHECKED_EPISODES} episodes: {crc} here, {same} in gymnasium")
            return 0 if crc == same else 1
        reached: list[float] = []
        worst: list[float] = []
        for seed in range(first, last):
            returns, crc = run_seed(program, folder, seed, arguments.episodes)
            found = episodes_to_threshold(returns, experiment.task.threshold)
            means = np.convolve(returns, np.ones(100) / 100, "valid")
            reached.append(np.inf if found is None else found)
            worst.append(float(means[-1]))
            print(
                f"seed {seed}: {found} episodes, best {means.max():.1f}, last {means[-1]:.1f}, weights {crc}",
                flush=True,
            )
    print(
        f"{int(np.isfinite(reached).sum())}/{len(reached)} reached, median {np.median(reached):.1f}, worst "
        f"{max(reached):.0f}; last 100: median {np.median(worst):.1f}, worst {min(worst):.1f}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
