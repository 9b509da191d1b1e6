"""What RP2040 and RP2350 share: register aliases, UART0, the microsecond timer, clocks, functions of the boot ROM."""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from nrl_host.targets.machines.cortex_m import CortexM, arm, unicorn

FLASH_BASE = 0x10000000
CRYSTAL_HZ = 12e6
ROM_BYTES = 0x4000
_STABLE = 1 << 31
_RESET_STATE = 0x1FFFFFFF
_BX_LR = 0x4770
# RESETS, CLOCKS
_RESET_DONE = 0x8
_REFERENCE, _REFERENCE_SELECTED, _SYSTEM, _SYSTEM_SELECTED, _PERIPHERAL = 0x30, 0x38, 0x3C, 0x44, 0x48
_PERIPHERAL_FROM_CRYSTAL = 1 << 11 | 4 << 5
# PLL: feedback and post dividers
_FEEDBACK, _POST = 0x8, 0xC
# PL011 UART
_FLAGS, _DIVIDER, _DIVIDER_64TH, _CONTROL, _INTERRUPTS = 0x18, 0x24, 0x28, 0x30, 0x38
_RECEIVE_EMPTY, _UART_ON, _RECEIVE_INTERRUPTS = 1 << 4, 0x301, 0x50
# Timer
_ALARM, _MICROSECONDS = 0x10, 0x28


class Rp2(CortexM):
    """One of the two chips: where its blocks are, and the numbers of its interrupts."""

    FLASH_BASE = FLASH_BASE
    RESETS: int
    CLOCKS: int
    CRYSTAL: int
    PLL: int
    UART: int
    TIMER: int
    TIMER_RAISED: int
    TIMER_ENABLE: int
    UART_RESET: int
    """Bit of RESETS."""
    UART_INTERRUPT: int
    TIMER_INTERRUPT = 0
    ROM_LOOKUP: int
    """Where the ROM has the address of the function that looks others up."""
    ROM_CODE_REGISTER: str
    """In which register that function takes the code."""

    def boot(self) -> int:
        """Clear what start-up finds."""
        self._microseconds = 0
        self._timer_raised = False
        return 0

    @abstractmethod
    def pins_are_connected(self) -> bool:
        """Whether UART0 is on the pins of the board's serial line."""

    # Time and clocks

    def core_hz(self) -> float:
        """The core's clock: the crystal or what the PLL makes of it."""
        if not self.registers.get(self.CLOCKS + _SYSTEM, 0) & 1:
            return CRYSTAL_HZ
        post = self.registers.get(self.PLL + _POST, 0x77000)
        return CRYSTAL_HZ * self.registers.get(self.PLL + _FEEDBACK, 0) / ((post >> 16 & 7) * (post >> 12 & 7))

    def slept(self, seconds: float, *, received: bool) -> None:
        """The timer has gone on, and may have come to its alarm."""
        self._microseconds = (self._microseconds + int(seconds * 1e6)) & 0xFFFFFFFF
        if not received and self.registers.get(self.TIMER_ENABLE, 0) & 1:
            self._timer_raised = True

    def seconds_to_alarm(self) -> float:
        """Until the timer's alarm."""
        return float((self.registers.get(self.TIMER + _ALARM, 0) - self._microseconds & 0xFFFFFFFF) / 1e6)

    # UART

    def _baud(self) -> float:
        if self.registers.get(self.CLOCKS + _PERIPHERAL, 0) != _PERIPHERAL_FROM_CRYSTAL:
            return 0.0
        divider = self.registers.get(self.UART + _DIVIDER, 0) + self.registers.get(self.UART + _DIVIDER_64TH, 0) / 64
        return CRYSTAL_HZ / 16 / divider if divider else 0.0

    def _line_works(self) -> bool:
        in_reset = self.registers.get(self.RESETS, _RESET_STATE) >> self.UART_RESET & 1
        is_on = self.registers.get(self.UART + _CONTROL, 0) & _UART_ON == _UART_ON
        return not in_reset and is_on and self.pins_are_connected() and self.is_rate_of_host(self._baud())

    def raised(self) -> Sequence[int]:
        """The timer's alarm and the UART."""
        found = [self.TIMER_INTERRUPT] if self._timer_raised else []
        if (
            self.incoming
            and self._line_works()
            and self.registers.get(self.UART + _INTERRUPTS, 0) & _RECEIVE_INTERRUPTS
        ):
            found.append(self.UART_INTERRUPT)
        return found

    # Registers

    def read(self, address: int) -> int:
        """What the blocks that the port uses say; any other register is as it was written."""
        if address == self.TIMER + _MICROSECONDS:
            self._microseconds = (self._microseconds + 1) & 0xFFFFFFFF
            self.serve_line()
            return self._microseconds
        if address == self.UART + _FLAGS:
            return 0 if self.incoming and self._line_works() else _RECEIVE_EMPTY
        if address == self.UART:
            return self.incoming.pop(0) if self.incoming else 0
        if address == self.TIMER_RAISED:
            return int(self._timer_raised)
        if address == self.RESETS + _RESET_DONE:
            return ~self.registers.get(self.RESETS, _RESET_STATE) & _RESET_STATE
        if address in (self.CRYSTAL + 0x4, self.PLL):
            return self.registers.get(address, 0) | _STABLE
        if address == self.CLOCKS + _REFERENCE_SELECTED:
            return 1 << (self.registers.get(self.CLOCKS + _REFERENCE, 0) & 3)
        if address == self.CLOCKS + _SYSTEM_SELECTED:
            return 1 << (self.registers.get(self.CLOCKS + _SYSTEM, 0) & 1)
        return self.registers.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """Bits 12 and 13 of the address say whether a register is written, or bits of it turned, set or cleared."""
        address, way = address & ~0x3000, address >> 12 & 3
        if address == self.UART:
            if self._line_works():
                self.transmit(value, self._baud())
            return
        if address == self.TIMER_RAISED:
            self._timer_raised = self._timer_raised and not value & 1
            return
        old = self.registers.get(address, _RESET_STATE if address == self.RESETS else 0)
        self.registers[address] = (value, old ^ value, old | value, old & ~value)[way] & 0xFFFFFFFF

    # The boot ROM

    def add_hooks(self, core: Any) -> None:
        """The ROM's table of functions: each is a `bx lr` that a hook does the work for."""
        core.mem_map(0, ROM_BYTES, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        lookup, table, first = 0x100, 0x200, 0x300
        rom = bytearray(ROM_BYTES)
        struct.pack_into("<H", rom, 0x14, table)
        struct.pack_into("<H", rom, self.ROM_LOOKUP, lookup | 1)
        codes = {}
        code_register = getattr(arm, f"UC_ARM_REG_{self.ROM_CODE_REGISTER}")
        for index, name in enumerate(("lookup", "IF", "EX", "RE", "RP", "FC", "CX")):
            address = lookup if name == "lookup" else first + 16 * index
            struct.pack_into("<H", rom, address, _BX_LR)
            if name != "lookup":
                codes[ord(name[0]) | ord(name[1]) << 8] = address | 1

            def work(uc: Any, place: int, size: int, name: str) -> None:
                first, second, third = (
                    uc.reg_read(each) for each in (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2)
                )
                if name == "lookup":
                    uc.reg_write(arm.UC_ARM_REG_R0, codes.get(uc.reg_read(code_register), 0))
                elif name == "RE":
                    self.flash[first : first + second] = b"\xff" * second
                elif name == "RP":
                    # From ones to zeros only, as flash is.
                    old, data = self.flash[first : first + third], uc.mem_read(second, third)
                    self.flash[first : first + third] = bytes(a & b for a, b in zip(old, data, strict=True))

            core.hook_add(unicorn.UC_HOOK_CODE, work, name, address, address)
        core.mem_write(0, bytes(rom))
