"""Images of boards: what builds them, and what they take of flash, RAM and stack."""

from nrl_host.build.firmware import BuildToolchain, build_experiment

__all__ = ["BuildToolchain", "build_experiment"]
