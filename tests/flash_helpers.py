"""An emulated Uno that has nothing but its boot loader, as from the shop: Optiboot, built from its own source."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tools import require_board, require_file, require_tool

OPTIBOOT = Path("/usr/share/arduino/hardware/arduino/avr/bootloaders/optiboot/optiboot.c")
_LARGEST_BYTES = 512
_START = 0x7E00


def build_optiboot(folder: Path) -> Path:
    """Optiboot for the Uno in Intel HEX, as its makefile builds it, but without flashes of a light at its start.

    The file that Debian packages beside the source has 532 bytes, and an ATmega328P's smallest boot section has 512: it
    runs past the end of flash. Without the flashes Optiboot fits.
    """
    require_board("uno")
    require_tool("avrdude", "apt-get install avrdude")
    source = require_file(OPTIBOOT, "apt-get install arduino-core-avr")
    elf, image = folder / "optiboot.elf", folder / "optiboot.hex"
    flags = ["-std=gnu99", "-Os", "-fno-inline-small-functions", "-fno-split-wide-types", "-mshort-calls"]
    settings = ["-DF_CPU=16000000L", "-DBAUD_RATE=115200", "-DLED_START_FLASHES=0"]
    places = [f"-Wl,--section-start=.text=0x{_START:x}", "-Wl,--section-start=.version=0x7ffe", "-Wl,--relax"]
    command = ["avr-gcc", "-mmcu=atmega328p", *flags, *settings, str(source), "-nostartfiles", "-nostdlib", *places]
    subprocess.run([*command, "-o", str(elf)], check=True, capture_output=True)
    parts = ["-j", ".text", "-j", ".version", "--set-section-flags", ".version=alloc,load"]
    subprocess.run(["avr-objcopy", "-O", "ihex", *parts, str(elf), str(image)], check=True)
    binary = folder / "optiboot.bin"
    subprocess.run(["avr-objcopy", "-O", "binary", *parts, str(elf), str(binary)], check=True)
    assert binary.stat().st_size == _LARGEST_BYTES, "it ends with its version, in the last word of flash"
    return image
