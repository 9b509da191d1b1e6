"""Chips whose core is unicorn's, and whose peripherals are modelled here, from their data sheets: a module a chip.

The models are by who wrote the ports. They show that an image starts, talks and learns on that core with registers that
behave as the manual says; not that the manual was understood, nor anything about pins, voltages and real oscillators.
"""

from __future__ import annotations
