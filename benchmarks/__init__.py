"""Ratios of speed, measured in one run on one machine: `python -m benchmarks`, see docs/benchmarks.md."""
