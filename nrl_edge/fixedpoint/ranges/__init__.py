"""Which Q formats hold what an agent computes on its task: simulated, bounded, and with reasons."""
