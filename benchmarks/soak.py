"""`python -m benchmarks.soak [--minutes 10] [--quick]`: what takes too long for every change: faults, fuzzing, memory.

    bad line   10^5 steps over a line that drops, flips, doubles and reorders frames, on desktop and micro:bit: the
               weights are those of a clean line; and how much slower it is
    memory     10^6 steps on the desktop: memory of host and device stay flat, and all counters agree
    fuzzing    the firmware's link under libFuzzer for so many minutes, and ten million frames of noise

Exit code 1 where something does not hold.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from nrl_edge.experiment import Experiment, parse_experiment, resolve_agent
from nrl_edge.lockstep import EpisodeOutcome
from nrl_edge.simulation import ReturnStatistics, RunSummary, simulate
from nrl_host.hil import run_hil, simulate_firmware
from nrl_host.link.faults import LineFaults
from nrl_host.targets.desktop import DesktopTarget

BAD_LINE = LineFaults(drop=0.1, flip=0.05, duplicate=0.05, reorder=0.05, seed=7)
FUZZING = Path(__file__).resolve().parents[1] / "tests" / "fuzz"
FLAT_SHARE = 1.1
"""What memory may have grown to, of what it was after the first tenth of a run: a buffer that grows would double it."""


@dataclass(frozen=True)
class Soaked:
    """One line of the report."""

    name: str
    holds: bool
    figure: str


def _cartpole(episodes: int) -> Experiment:
    return parse_experiment(
        '[task]\nid = "CartPole-v1"\nobservation_scale = [1, 1, 8, 1]\n[network]\nhidden = [8]\n'
        f'[learning]\nlearning_rate = "2^-6"\nclip = 0.5\nepisodes = {episodes}\n'
    )


def _episodes_of(steps: int) -> int:
    """Episodes of the experiment that take so many steps at least."""
    episodes = 64
    while simulate(_cartpole(episodes), "native").steps < steps:
        episodes = episodes * 3 // 2
    return episodes


def bad_line(board: str, steps: int) -> Soaked:
    """A run over a bad line ends with the weights of a clean one."""
    experiment = _cartpole(_episodes_of(steps))
    clean = simulate_firmware(experiment, board=board)
    spoilt = simulate_firmware(experiment, board=board, line_faults=BAD_LINE)
    same = (spoilt.weights_crc32, spoilt.steps, spoilt.counters) == (clean.weights_crc32, clean.steps, clean.counters)
    faults = sum((spoilt.line_faults or {}).values())
    return Soaked(
        f"bad line, {board}",
        same and clean.steps >= steps,
        f"{spoilt.steps:,} steps, {faults:,} faults, {spoilt.retries:,} retries, CRC-32 {spoilt.weights_crc32} and "
        f"{clean.weights_crc32}; {spoilt.steps_per_second:,.0f} of {clean.steps_per_second:,.0f} steps/s: "
        f"{spoilt.steps_per_second / clean.steps_per_second:.3f}",
    )


def _resident_kib(process: int) -> int:
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def flat_memory(steps: int, folder: Path) -> Soaked:
    """Memory of host and device after a long run, against that after its first tenth; the counters of both sides."""
    episodes = _episodes_of(steps)
    experiment = _cartpole(episodes)
    early: list[int] = []
    with DesktopTarget(resolve_agent(experiment), seed=experiment.entropy.seed) as target:

        def look(outcome: EpisodeOutcome, statistics: ReturnStatistics) -> None:
            if outcome.episode == episodes // 10:
                early.extend([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _resident_kib(target.process.pid)])

        summary = run_hil(experiment, target.url, run=folder, on_episode=look)
        late = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _resident_kib(target.process.pid)]
    same = simulate(experiment, "native").weights_crc32 == summary.weights_crc32
    return Soaked(
        "memory and counters",
        same and _counters_agree(summary) and all(b <= FLAT_SHARE * a for a, b in zip(early, late, strict=True)),
        f"{summary.steps:,} steps; host {early[0]:,} KiB after a tenth, {late[0]:,} at the end; device {early[1]:,} "
        f"and {late[1]:,}; {(folder / 'record.nrlr').stat().st_size / summary.steps:.2f} bytes a step in the record",
    )


def _counters_agree(summary: RunSummary) -> bool:
    """Every frame of the host has reached the device, was good, and was executed once; every reply came back."""
    if summary.link is None:
        return False
    host, device = summary.link["host"], summary.link["device"]
    troubles = ("bad_crc", "overlong", "malformed", "half_frames", "repeated", "out_of_order", "stale_session")
    return (
        host["frames_out"] == device["frames_in"]
        # The reply that tells the device's counters is not yet among them.
        and host["frames_in"] == device["frames_out"] + 1
        and not any(device[name] for name in troubles)
        and host["retries"] == 0
    )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of fuzzing")
    parser.add_argument("--quick", action="store_true", help="a hundredth of the steps: shows that everything runs")
    options = parser.parse_args()
    share = 100 if options.quick else 1
    import tempfile

    sys.path.insert(0, str(FUZZING))
    from fuzzing import fuzz_all

    all_hold = True
    with tempfile.TemporaryDirectory(prefix="nrl-edge-soak-") as folder:
        for part in (
            lambda: bad_line("desktop", 100_000 // share),
            lambda: bad_line("microbit", 100_000 // share),
            lambda: flat_memory(1_000_000 // share, Path(folder, "run")),
        ):
            started = time.perf_counter()
            soaked = part()
            all_hold &= soaked.holds
            verdict = "holds" if soaked.holds else "DOES NOT HOLD"
            print(f"{soaked.name}: {verdict}: {soaked.figure} ({time.perf_counter() - started:.0f} s)", flush=True)
    findings = fuzz_all(options.minutes, lambda text: print(text, flush=True))
    print(f"fuzzing: {len(findings)} findings")
    return 0 if all_hold and not findings else 1


if __name__ == "__main__":
    sys.exit(main())
