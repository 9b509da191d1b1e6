"""Run an image on a modelled chip, its serial line behind TCP.

    python -m nrl_host.targets.machines CHIP IMAGE [--flash FILE] [--seed N] [--generator KIND] [--count]

prints "listening on 127.0.0.1:PORT", serves one peer after the other, and ends when standard input closes, with a line
that says how many bits its generator has given. IMAGE is an ELF file. FILE is the chip's flash memory: what is written
is kept there. KIND is how its random number generator is: healthy, zero, one, period2, bias60, dead, error, or one of
them from a bit on, as in one@60000. With --count the core's counters count instructions,
which makes it slower.
"""

from __future__ import annotations

import argparse
import mmap
from pathlib import Path

from nrl_host.targets.machines.chips import CHIPS
from nrl_host.targets.machines.line import TcpLine


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chip", choices=sorted(CHIPS))
    parser.add_argument("image", type=Path)
    parser.add_argument("--flash", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--generator", default="healthy")
    parser.add_argument("--count", action="store_true")
    options = parser.parse_args()
    chip = CHIPS[options.chip]
    if options.flash is None:
        flash = mmap.mmap(-1, chip.flash_bytes)
        flash[:] = b"\xff" * chip.flash_bytes
    else:
        if not options.flash.exists():
            options.flash.write_bytes(b"\xff" * chip.flash_bytes)
        with options.flash.open("r+b") as file:
            flash = mmap.mmap(file.fileno(), chip.flash_bytes)
    line = TcpLine()
    machine = chip.make(flash, options.generator, options.seed, line.receive, line.send)
    if options.count:
        machine.count_instructions()
    machine.load(options.image)
    print(f"listening on 127.0.0.1:{line.port}", flush=True)
    machine.run()
    print(f"bits {machine.generator.read}", flush=True)


if __name__ == "__main__":
    main()
