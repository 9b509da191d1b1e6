"""Rates against processor time: what round trips cost, whatever else the machine is busy with.

Host and device take turns, so the processor time of both is what a round trip takes on a machine that does nothing
else, but for the time that the system needs to wake them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def processor_seconds(pid: int) -> float:
    """Seconds that all threads of a process have run, on Linux."""
    total = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        total += int(file.read_text(encoding="ascii").split()[0])
    return total / 1e9


def rate_of(work: Callable[[], None], count: int, pid: int) -> float:
    """How often something was done a second of processor time, where `work` does it `count` times.

    The time is ours and that of process `pid`; where the system does not tell, it is the clock's.
    """
    if not Path(f"/proc/{pid}/schedstat").exists():
        start = time.perf_counter()
        work()
        return count / (time.perf_counter() - start)
    ours, other = time.process_time(), processor_seconds(pid)
    work()
    return count / (time.process_time() - ours + processor_seconds(pid) - other)
