"""Captures: what is healthy passes, what is not is told apart by the claim that fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nrl_edge.errors import ConfigurationError
from nrl_edge.noise import (
    analyse,
    autocorrelation,
    markov_min_entropy,
    most_common_value_min_entropy,
    read_capture,
)
from nrl_host.cli import main

BITS = 400_000


def healthy(seed: int = 1, count: int = BITS) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, count, np.uint8)


def correlated(stay: float) -> np.ndarray:
    """Bits that repeat the one before with this probability."""
    changes = (np.random.default_rng(2).random(BITS) >= stay).astype(np.uint8)
    return np.bitwise_xor.accumulate(changes)


def failing(bits: np.ndarray, **options: float) -> set[str]:
    return {check.claim for check in analyse(bits, **options).checks if not check.holds}


def test_healthy_bits_hold_every_claim() -> None:
    for seed in range(5):
        report = analyse(healthy(seed))
        assert report.holds, report.checks
        assert report.most_common_value > 0.98 and report.markov > 0.98


def test_each_sickness_fails_the_claims_that_are_about_it() -> None:
    periodic = "no byte repeats too often"
    repeated, frequent = "no value repeats too often", "no value is too frequent in a window"
    common = "a bit holds 0.9 by its most common value"
    markov, later = "a bit holds 0.9 by the Markov estimate", "no bit tells of a later one"
    stuck = np.ones(BITS, np.uint8)
    assert {repeated, frequent, common, markov} <= failing(stuck)
    biased = (np.random.default_rng(3).random(BITS) < 0.6).astype(np.uint8)
    assert {common, markov} <= failing(biased) and later not in failing(biased)
    alternating = failing(np.tile(np.array([0, 1], np.uint8), BITS // 2))
    assert alternating == {markov, later, periodic, "the first 1024 bits pass the start-up test"}
    assert failing(correlated(0.7)) >= {markov, later} and common not in failing(correlated(0.7))
    late = healthy()
    late[BITS // 2 : BITS // 2 + 200] = 0
    assert failing(late) == {repeated, periodic}


@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9])
def test_estimates_of_independent_bits_are_near_what_they_hold(probability: float) -> None:
    bits = (np.random.default_rng(4).random(BITS) < probability).astype(np.uint8)
    truth = -np.log2(probability)
    assert most_common_value_min_entropy(bits) == pytest.approx(truth, abs=0.02)
    assert most_common_value_min_entropy(bits) < truth, "it is a lower bound"
    assert markov_min_entropy(bits) == pytest.approx(truth, abs=0.02)


def test_the_markov_estimate_of_a_chain_is_that_of_its_likeliest_path() -> None:
    assert markov_min_entropy(correlated(0.75)) == pytest.approx((1 + 127 * -np.log2(0.75)) / 128, abs=0.01)
    assert markov_min_entropy(np.tile(np.array([0, 1], np.uint8), 5000)) == pytest.approx(1 / 128, abs=1e-3)


@pytest.mark.parametrize("stay", [0.15, 0.3, 0.5, 0.8])
def test_the_markov_estimate_is_the_likeliest_of_all_paths(stay: float) -> None:
    bits = correlated(stay)[:5000]
    ones = bits.mean()
    p = np.array([[np.mean(bits[1:][bits[:-1] == a] == b) for b in (0, 1)] for a in (0, 1)])
    # Viterbi's recursion over 128 bits, where the estimate has six candidates in closed form.
    best = np.log2([1.0 - ones, ones])
    for _ in range(127):
        best = (best[:, None] + np.log2(p)).max(axis=0)
    assert markov_min_entropy(bits) == pytest.approx(min(1.0, -best.max() / 128), abs=1e-9)


def test_autocorrelation_finds_a_period_and_nothing_in_noise() -> None:
    assert np.abs(autocorrelation(healthy())).max() < 5 / np.sqrt(BITS)
    period = np.tile(healthy(7, 12), 4000)
    assert autocorrelation(period)[11] == pytest.approx(1.0, abs=1e-3)
    assert (autocorrelation(np.zeros(1000, np.uint8)) == 0.0).all()


def test_a_capture_is_read_low_bit_first_and_not_too_short(tmp_path: Path) -> None:
    path = tmp_path / "capture.bin"
    path.write_bytes(bytes([0b00000001, 0b10000000]) * 512)
    assert read_capture(path)[:16].tolist() == [1, *[0] * 14, 1]
    path.write_bytes(bytes(1023))
    with pytest.raises(ConfigurationError, match="8192 at least"):
        read_capture(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_capture(tmp_path / "nothing")


def test_the_command_judges_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: object) -> tuple[int, list[str]]:
        monkeypatch.setattr("sys.argv", ["nrl-edge", "noise", "test", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), capsys.readouterr().out.splitlines()

    good, bad = tmp_path / "good.bin", tmp_path / "bad.bin"
    np.packbits(healthy(), bitorder="little").tofile(good)
    np.packbits(correlated(0.7), bitorder="little").tofile(bad)
    code, lines = run(good, "--json", "--plot", tmp_path / "good.svg")
    result = json.loads(lines[-1])
    assert code == 0 and result["holds"] and result["bits"] == BITS
    assert b"autocorrelation" in (tmp_path / "good.svg").read_bytes()
    code, lines = run(bad, "--json")
    assert code == 1 and not json.loads(lines[-1])["holds"]
    assert run(bad)[0] == 1
    assert run(good, "--min-entropy", "1.5")[0] == 2
    assert run(good, "--plot", tmp_path / "good.txt")[0] == 2
    assert run(good, "--plot", tmp_path / "nowhere" / "good.svg")[0] == 2
    assert run(tmp_path / "nothing")[0] == 2
