"""Q formats and the integer reference agent: docs/arithmetic.md in Python."""
