"""nrl_edge: agents that keep learning on microcontrollers, in integers, bit-exact with their NumPy reference."""

__version__ = "0.1.0"
