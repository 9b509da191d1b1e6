"""The batched float64 trainer beside a PyTorch loop of the same rule, one agent and one step at a time.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.pytorch

The loop is how the rule is commonly written: preset `edge` on CartPole 4-64-2, gymnasium's environment, tensors for
weights, traces and noise. It was written for this comparison, with what makes PyTorch fast on tensors this small: one
thread, no autograd graph, in-place updates.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import count
from typing import Any

import gymnasium

from benchmarks.comparison import Comparison, Target, measure_in_turns
from benchmarks.training import agent_steps_per_second

SEEDS = 512
"""Agents side by side in the batched trainer."""
STEPS_EACH = 20_000
"""Steps an agent of the batched trainer: the window of the trainer's own benchmark."""
HIDDEN, SCALE = 64, (1.0, 1.0, 8.0, 1.0)
LEARNING_RATE, CLIP, BASELINE_RATE, SLOPE = 2.0**-6, 0.5, 169 / 256, 0.1


def pytorch_steps_per_second(torch: Any, seed: int, steps: int) -> float:
    """Steps a second of one agent that learns CartPole in a per-step loop, for at least `steps` steps."""
    torch.manual_seed(seed)
    environment = gymnasium.make("CartPole-v1")
    scale = torch.tensor(SCALE)
    limit = (6.0 / (4 + HIDDEN)) ** 0.5
    hidden_weights = torch.empty(HIDDEN, 4).uniform_(-limit, limit)
    output_weights = torch.zeros(2, HIDDEN)
    hidden_trace, output_trace = torch.zeros_like(hidden_weights), torch.zeros_like(output_weights)
    baseline = None
    done_steps = 0
    started = time.process_time()
    with torch.no_grad():
        while done_steps < steps:
            observation, _ = environment.reset(seed=seed + done_steps)
            episode_return, ended = 0.0, False
            while not ended:
                x = torch.as_tensor(observation, dtype=torch.float32) * scale
                pre_activation = hidden_weights @ x
                slope = torch.where(pre_activation >= 0, 1.0, SLOPE)
                activity = slope * pre_activation
                probabilities = torch.softmax(output_weights @ activity, 0)
                action = int(torch.multinomial(probabilities, 1))
                signs = torch.randint(0, 2, (HIDDEN,)).float().mul_(2).sub_(1)
                error = -probabilities
                error[action] += 1.0
                difference = error @ (output_weights @ (slope * signs))
                hidden_trace += torch.outer(signs, difference * x)
                output_trace += torch.outer(error, activity)
                observation, reward, terminated, truncated, _ = environment.step(action)
                episode_return += float(reward)
                ended = terminated or truncated
                done_steps += 1
            baseline = episode_return if baseline is None else baseline
            prediction_error = (episode_return - baseline) / abs(episode_return)
            norm = float((hidden_trace.square().sum() + output_trace.square().sum()).sqrt())
            step = LEARNING_RATE * prediction_error
            if norm > 0.0:
                step = max(-CLIP / norm, min(CLIP / norm, step))
            hidden_weights += step * hidden_trace
            output_weights += step * output_trace
            hidden_trace.zero_()
            output_trace.zero_()
            baseline += BASELINE_RATE * (episode_return - baseline)
    seconds = time.process_time() - started
    environment.close()
    return done_steps / seconds


def compare_pytorch(torch: Any, seeds: int, steps_each: int, loop_steps: int, pairs: int) -> Comparison:
    """The batched trainer with `seeds` agents over the loop."""
    torch.set_num_threads(1)
    name = f"float trainer with {seeds} seeds / PyTorch, step by step"
    number = count()
    return Comparison(
        name,
        "agent steps",
        f"{seeds} seeds",
        "PyTorch loop",
        measure_in_turns(
            name,
            lambda: agent_steps_per_second("cartpole", range(seeds), steps_each),
            lambda: pytorch_steps_per_second(torch, next(number), loop_steps),
            pairs,
            lambda _: None,
        ),
        target=Target(">=", 100.0),
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pytorch", description="The trainer beside a PyTorch loop; see docs/benchmarks.md."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that everything runs")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"agents side by side (default {SEEDS})")
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        print(
            "this comparison needs PyTorch; install it with: pip install -r benchmarks/requirements.txt",
            file=sys.stderr,
        )
        return 4
    if arguments.quick:
        comparison = compare_pytorch(torch, 8, 200, 500, 1)
    else:
        comparison = compare_pytorch(torch, arguments.seeds, STEPS_EACH, 20_000, 5)
    print(json.dumps(comparison.as_dict()) if arguments.json else comparison.as_text(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
