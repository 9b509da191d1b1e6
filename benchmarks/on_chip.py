"""Learning curves of boards that balance a pole which they simulate themselves, with no host in the loop.

    python -m benchmarks.on_chip [--output DIR] [--episodes N] [BOARD ...]

Every board learns with a seed of its own in its emulator, and its weights are compared with a run of the same seed on
the desk. Writes curves.csv, boards.md and learning-curves.svg into docs/results/on_chip, or into DIR.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from nrl_edge.boards import find_board, load_boards
from nrl_edge.experiment import load_experiment, new_experiment
from nrl_edge.figures import COLOURS, STYLE, save_figure
from nrl_edge.simulation import simulate
from nrl_host.hil import simulate_firmware

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "results" / "on_chip"
WINDOW = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("boards", nargs="*", default=[board.id for board in load_boards() if board.emulator])
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--episodes", type=int, default=160)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        experiment = load_experiment(new_experiment(folder, "balance")).with_overrides(episodes=options.episodes)
    rows, lengths = [], {}
    for number, board_id in enumerate(options.boards):
        seeded = experiment.with_overrides(seed=1001 + number)
        heard: list[int] = []
        alone = simulate_firmware(
            seeded, board=board_id, on_episode=lambda outcome, statistics, to=heard: to.append(outcome.length)
        )
        desk = simulate(seeded, "native")
        equal = (alone.weights_crc32, alone.steps) == (desk.weights_crc32, desk.steps)
        board = find_board(board_id)
        lengths[board_id] = heard
        rows.append(
            f"| {board.name} | {board.core} | {seeded.entropy.seed} | {alone.steps:,} | "
            f"{alone.mean_return_last_100:.1f} | {alone.episodes_to_threshold or '-'} | `{alone.weights_crc32}` | "
            f"{'equal' if equal else 'NOT EQUAL'} |"
        )
        print(rows[-1], flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    with (options.output / "curves.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["board", "episode", "steps"])
        writer.writerows(
            (board, k, steps) for board, all_steps in lengths.items() for k, steps in enumerate(all_steps, 1)
        )
    head = (
        "| board | core | seed | steps | mean of the last 100 | episodes to a mean of 195 | weights CRC-32 | desk |",
        "|---|---|---|---|---|---|---|---|",
    )
    (options.output / "boards.md").write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")
    draw(lengths, options.output / "learning-curves.svg")


def draw(lengths: dict[str, list[int]], path: Path) -> None:
    with matplotlib.rc_context(STYLE):
        _draw(lengths, path)


def _draw(lengths: dict[str, list[int]], path: Path) -> None:
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, (board, steps) in enumerate(lengths.items()):
        means = [sum(steps[max(0, k - WINDOW) : k]) / min(k, WINDOW) for k in range(1, len(steps) + 1)]
        axes.plot(
            range(1, len(means) + 1),
            means,
            linewidth=1.3,
            label=board,
            color=COLOURS[number % len(COLOURS)],
            linestyle=("-", "--")[number // len(COLOURS)],
        )
    axes.axhline(195, color="0.5", linewidth=0.8, linestyle="--")
    axes.set_xlabel("episode")
    axes.set_ylabel(f"steps, mean of {WINDOW} episodes")
    axes.set_title("A pole on a cart, simulated and learned on the chip")
    axes.legend(fontsize="small", ncols=2)
    save_figure(figure, path)


if __name__ == "__main__":
    main()
