"""Realistic report data without a run: curves as CartPole gives them, weights of a policy that balances."""

from __future__ import annotations

import numpy as np

from nrl_edge.report import POLICY_VIEWS, Check, Curve, ReportData, policy_map


def example_report(**changes: object) -> ReportData:
    generator = np.random.default_rng(7)
    episodes = np.arange(500)
    skill = 22 + 478 / (1 + np.exp(-(episodes - 105) / 18))
    firmware = np.clip(np.round(skill * generator.gamma(6, 1 / 6, 500)), 9, 500)
    firmware[170:] = np.where(generator.random(330) < 0.94, 500.0, firmware[170:])
    slower = 22 + 478 / (1 + np.exp(-(episodes - 135) / 24))
    floats = np.clip(np.round(slower * generator.gamma(5, 1 / 5, 500)), 9, 500)
    floats[220:] = np.where(generator.random(280) < 0.92, 500.0, floats[220:])
    hidden = generator.normal(0, 0.32, (64, 4))
    output = np.zeros((2, 64))
    output[1] = 0.5 * hidden @ np.array([0.1, 0.4, 1.0, 1.1]) + generator.normal(0, 0.04, 64)
    output[0] = -output[1]
    weights = [hidden, output]
    values: dict[str, object] = {
        "title": "CartPole-v1 on desktop firmware",
        "task": "CartPole-v1",
        "target": "desktop",
        "board": "desktop",
        "seed": 42,
        "build": "9f2c41d07be35a18",
        "curves": [Curve("desktop firmware", firmware), Curve("integer reference", firmware), Curve("float64", floats)],
        "threshold": 475.0,
        "checks": [
            Check("Weights of the firmware equal those of the reference", True, "CRC 5d21f0a9 = 5d21f0a9"),
            Check("All 500 checkpoints agree", True, "500 of 500"),
        ],
        "highlights": {"Agent in RAM": "3.4 kB", "Steps a second": "10,412"},
        "policy": policy_map(weights, np.array([1.0, 1.0, 8.0, 1.0]), POLICY_VIEWS["CartPole-v1"]),
        "weights": weights,
        "sizes": {"text": 11_284, "data": 96, "bss": 4_312, "agent": 3_476, "snapshot": 844},
        "link": {"requests": 201_338, "retries": 0, "bad_crc": 0, "overlong": 0, "telemetry_dropped": 0},
        "saturation": {"observation": 0, "pre_activation": 0, "difference": 12, "trace": 3, "weight": 41, "entropy": 0},
        "settings": {
            "Task": "CartPole-v1",
            "Hidden layers": "64",
            "Rule": "nrl, preset edge",
            "Learning rate": "2^-6 = 0.015625",
            "Agent": "nrl-agent/1 4-64-2 B=16 Fx=10 Fw=12 Ft=5 Fr=8 K=6 C=1 reward=delayed",
        },
        "commands": ["nrl-edge new cartpole", "nrl-edge sim cartpole/experiment.toml --run runs/cartpole"],
        "created": "2026-01-02T03:04:05+00:00",
    }
    return ReportData(**(values | changes))  # type: ignore[arg-type]
