"""Raspberry Pi's RP2350 with its Cortex-M33: the image definition is looked for as the boot ROM does it.

Registers: RP2350 Datasheet 5.9 (image definitions), 7.5 (resets), 8 (clocks), 9.11 (GPIO), 12.1 (UART), 12.8 (timers),
12.12 (TRNG). A microsecond passes for every look at the timer.
"""

from __future__ import annotations

import struct

from nrl_host.targets.machines.cortex_m import arm
from nrl_host.targets.machines.rp2 import FLASH_BASE, Rp2

_SEARCHED_BYTES = 4096
_BLOCK = struct.pack("<5I", 0xFFFFDED3, 0x10210142, 0x000001FF, 0, 0xAB123579)
"""An image definition: executable, secure, Arm, RP2350; the only block of its loop."""
_GPIO_CONTROL, _GPIO_IS_UART = 0x40028004, 2
_PAD, _PAD_INPUT, _PAD_ISOLATED = 0x40038004, 1 << 6, 1 << 8
_PAD_AT_RESET = 0x116
_TICKS_TIMER0, _TICKS_ON = 0x40108018, 1
_TRNG, _TRNG_RESET = 0x400F0000, 25
_STATUS, _CLEAR, _CONFIG, _DATA, _ENABLE = _TRNG + 0x104, _TRNG + 0x108, _TRNG + 0x10C, _TRNG + 0x114, _TRNG + 0x12C
_SAMPLES, _BYPASSES, _SOFT_RESET = _TRNG + 0x130, _TRNG + 0x138, _TRNG + 0x140
_VALID, _AUTOCORRELATION = 1, 2
_WORDS = 6


class Rp2350(Rp2):
    """The chip of the Raspberry Pi Pico 2. A generator of kind `error` fails its autocorrelation test each time."""

    CPU = "CORTEX_M33"
    RAM = ((0x20000000, 520 << 10),)
    REGISTERS = ((0x40000000, 0x120000),)
    RESETS, CLOCKS, CRYSTAL, PLL = 0x40020000, 0x40010000, 0x40048000, 0x40050000
    UART, UART_RESET, UART_INTERRUPT = 0x40070000, 26, 33
    TIMER, TIMER_RAISED, TIMER_ENABLE = 0x400B0000, 0x400B003C, 0x400B0040
    ROM_LOOKUP, ROM_CODE_REGISTER = 0x16, "R0"

    def boot(self) -> int:
        """What the boot ROM does with flash: a vector table at its beginning, an image definition soon after."""
        super().boot()
        self._collected: list[int] = []
        self._latched = 0
        if self.flash[:_SEARCHED_BYTES].find(_BLOCK) % 4 != 0:
            self.fail("the image is not bootable: its first 4 KiB hold no image definition")
        stack, start = struct.unpack("<2I", self.flash[:8])
        self.registers[0xE000ED08] = FLASH_BASE
        self.core.reg_write(arm.UC_ARM_REG_SP, stack)
        return int(start) & ~1

    def pins_are_connected(self) -> bool:
        """UART0 on GP0 and GP1, whose pads are isolated from reset on."""
        pads = [self.registers.get(_PAD + 4 * pin, _PAD_AT_RESET) for pin in (0, 1)]
        functions = [self.registers.get(_GPIO_CONTROL + 8 * pin, 31) for pin in (0, 1)]
        return (
            functions == [_GPIO_IS_UART] * 2
            and not (pads[0] | pads[1]) & _PAD_ISOLATED
            and pads[1] & _PAD_INPUT == _PAD_INPUT
        )

    def slept(self, seconds: float, *, received: bool) -> None:
        """The timer goes on where it is given ticks."""
        if self.registers.get(_TICKS_TIMER0, 0) & _TICKS_ON:
            super().slept(seconds, received=received)

    # The generator

    def _collect(self) -> None:
        """A block of 192 bits, where the generator is out of its reset, on, and well by its own tests."""
        in_reset = self.registers.get(self.RESETS, 1 << _TRNG_RESET) >> _TRNG_RESET & 1
        if in_reset or self._latched or self._collected or not self.registers.get(_ENABLE, 0) & 1:
            return
        if not self.generator.is_running or self.registers.get(_SAMPLES, 0xFFFF) > 1000:
            return  # never, or not while anybody waits
        if self.generator.reports_error and not self.registers.get(_BYPASSES, 0):
            self._latched = _AUTOCORRELATION
            return
        self._collected = [self.generator.word() for _ in range(_WORDS)]

    def read(self, address: int) -> int:
        """The generator, and what both chips have."""
        if address == _STATUS:
            self._collect()
            return self._latched | (_VALID if self._collected else 0)
        if _DATA <= address < _DATA + 4 * _WORDS:
            index = (address - _DATA) // 4
            value = self._collected[index] if self._collected else 0
            if index == _WORDS - 1:
                self._collected = []  # reading the last of them begins the next block
            return value
        return super().read(address)

    def write(self, address: int, value: int) -> None:
        """The generator, and what both chips have."""
        if address == _SOFT_RESET and value & 1:
            self._latched, self._collected = 0, []
            for register in (_CONFIG, _ENABLE, _SAMPLES, _BYPASSES):
                self.registers.pop(register, None)
        elif address == _CLEAR:
            if value & _VALID:
                self._collected = []
        else:
            super().write(address, value)
