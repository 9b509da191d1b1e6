"""Debian packages of the tools that build and emulate boards: what messages, `doctor` and tests name."""

from __future__ import annotations

from nrl_edge.boards import ToolchainName

COMPILER_PACKAGES: dict[ToolchainName, str] = {
    "arm-none-eabi": "gcc-arm-none-eabi binutils-arm-none-eabi",
    "riscv64-unknown-elf": "gcc-riscv64-unknown-elf binutils-riscv64-unknown-elf",
    "avr": "gcc-avr binutils-avr avr-libc",
}
"""By toolchain."""

EMULATOR_PACKAGES = {"qemu-system-arm": "qemu-system-arm", "qemu-system-riscv32": "qemu-system-misc"}
"""By program."""

SIMAVR_PACKAGES = "libsimavr-dev libelf-dev"
