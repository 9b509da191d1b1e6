"""Raspberry Pi's RP2040: its second stage is checked and run as the boot ROM does it (RP2040 Datasheet 2.8.1).

Registers: RP2040 Datasheet 2.14 to 2.19, 4.2, 4.6. A microsecond passes for every look at the timer.
"""

from __future__ import annotations

from typing import Any

from nrl_host.targets.machines.cortex_m import arm
from nrl_host.targets.machines.rp2 import Rp2

BOOT2_BYTES, BOOT2_RUNS_AT = 256, 0x20041F00
_SSI = 0x18000000
_ROSC_STATUS, _ROSC_RANDOM_BIT = 0x40060018, 0x4006001C
_STABLE = 1 << 31
_GPIO_CONTROL, _GPIO_IS_UART = 0x40014004, 2


class Rp2040(Rp2):
    """The chip of the Raspberry Pi Pico; its generator is the random bit of the ring oscillator."""

    CPU = "CORTEX_M0"
    RAM = ((0x20000000, 264 << 10),)
    REGISTERS = ((0x40000000, 0x80000), (_SSI, 0x1000))
    RESETS, CLOCKS, CRYSTAL, PLL = 0x4000C000, 0x40008000, 0x40024000, 0x40028000
    UART, UART_RESET, UART_INTERRUPT = 0x40034000, 22, 20
    TIMER, TIMER_RAISED, TIMER_ENABLE = 0x40054000, 0x40054034, 0x40054038
    ROM_LOOKUP, ROM_CODE_REGISTER = 0x18, "R1"

    def boot(self) -> int:
        """What the boot ROM does with flash."""
        super().boot()
        stage = self.flash[:BOOT2_BYTES]
        if boot_crc(stage[:-4]) != int.from_bytes(stage[-4:], "little"):
            self.fail("the image is not bootable: the CRC of its second stage is wrong")
        self.core.mem_write(BOOT2_RUNS_AT, stage)
        self.core.reg_write(arm.UC_ARM_REG_SP, BOOT2_RUNS_AT)
        return BOOT2_RUNS_AT

    def pins_are_connected(self) -> bool:
        """UART0 on GP0 and GP1."""
        return all(self.registers.get(_GPIO_CONTROL + 8 * pin, 31) == _GPIO_IS_UART for pin in (0, 1))

    def read(self, address: int) -> int:
        """The ring oscillator, and what both chips have."""
        if address == _ROSC_RANDOM_BIT:
            return self.generator.bit()
        if address == _ROSC_STATUS:
            return _STABLE if self.generator.is_running else 0
        return super().read(address)

    def write(self, address: int, value: int) -> None:
        """The flash chip's interface has no aliases."""
        if address & ~0xFFF == _SSI:
            self.registers[address] = value
        else:
            super().write(address, value)


def boot_crc(stage: Any) -> int:
    """The CRC-32 that the boot ROM asks of the second stage: polynomial 04c11db7, no reflection, from ffffffff."""
    crc = 0xFFFFFFFF
    for byte in stage:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 1 << 31 else 0)) & 0xFFFFFFFF
    return crc
