"""Writes firmware to boards, and proves that they run it."""

from nrl_host.flash.flash import Flashed, flash

__all__ = ["Flashed", "flash"]
