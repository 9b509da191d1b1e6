"""A Cortex-M core around unicorn: interrupts, sleep, the system timer and reset. Chips add memories and registers.

Unicorn runs instructions and has no interrupt controller. Here interrupts are taken where the core sleeps and where it
unmasks them, and nowhere else: no program of this project waits for one in a loop. Time is that of this computer. The
line is served while the core sleeps, and now and then at such places and where a chip says so: a program may be at
work for long.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

from nrl_host.targets.machines.generators import BitSource

unicorn: Any = import_module("unicorn")  # the package has no types
arm: Any = import_module("unicorn.arm_const")

Receive = Callable[[float], bytes | None]
Send = Callable[[bytes], None]

SYSTEM_BASE = 0xE000E000
SYSTICK = 15
"""Number of the system timer's exception; a chip's interrupt n is 16 + n."""
FIRST_INTERRUPT = 16

_SYSTICK_CONTROL, _SYSTICK_RELOAD, _SYSTICK_VALUE = 0xE000E010, 0xE000E014, 0xE000E018
_TRACE_BASE, _TRACE_CYCLES = 0xE0001000, 0xE0001004
_WIDE_INSTRUCTIONS = (0b11101, 0b11110, 0b11111)
"""The upper five bits of a Thumb instruction of 32 bits."""
_ENABLE_FIRST, _ENABLE_END = 0xE000E100, 0xE000E140
_VECTOR_TABLE, _RESET_CONTROL = 0xE000ED08, 0xE000ED0C
_RESET_KEY, _RESET_REQUEST = 0x05FA, 4
# Where handlers return to: nobody's memory, and none of the core's own magic numbers, which this core would act on.
_HANDLER_RETURN = 0xEFFFFFF0
_UNMASK_INTERRUPTS = b"\x62\xb6"
"""The instruction `cpsie i`."""
_SLEEP_SECONDS = 0.02
_LOOK_SECONDS = 0.005
"""The line is looked at no more often while the core is at work."""
_BAUD_TOLERANCE = 0.025
"""Of the rate that the host sends at: a receiver samples its last bit 9.5 bits after the first."""


class CortexM(ABC):
    """A chip. `receive` gives bytes for its serial line, waiting at most so many seconds; `send` takes what it sends.

    `flash` is the content of its flash memory. `receive` says by None that it is over.
    """

    CPU: str
    """Unicorn's name of the core."""
    FLASH_BASE: int
    FLASH_WRITABLE = False
    """Whether stores to flash go through (to a hook of the chip); otherwise they are a fault."""
    RAM: Sequence[tuple[int, int]]
    """(base, bytes) of each memory."""
    REGISTERS: Sequence[tuple[int, int]]
    """(base, bytes) of each stretch of addresses that has the chip's registers; multiples of 4 KiB."""
    BAUD = 115200
    """Of the host's end of the line."""

    def __init__(self, flash: mmap.mmap, generator: BitSource, receive: Receive, send: Send) -> None:
        self.flash = flash
        self.generator = generator
        self.registers: dict[int, int] = {}
        self.incoming = bytearray()
        self._receive, self._send = receive, send
        self._outgoing = bytearray()
        self._enabled = 0
        self._reset_wanted = False
        self._is_over = False
        self._next_look = 0.0
        self._place = 0
        self._tick_due = 0.0
        self._instructions: int | None = None
        self._counted_from = 0
        self._block_lengths: dict[tuple[int, int], int] = {}
        self.core = self._make_core()

    # What a chip adds

    @abstractmethod
    def boot(self) -> int:
        """Set registers as they are after a reset, and the stack pointer; returns where the core starts.

        Raises SystemExit where the chip would not start.
        """

    @abstractmethod
    def read(self, address: int) -> int:
        """A register's value."""

    @abstractmethod
    def write(self, address: int, value: int) -> None:
        """A register is written."""

    @abstractmethod
    def raised(self) -> Sequence[int]:
        """Numbers of the interrupts that are raised, the more urgent first."""

    @abstractmethod
    def core_hz(self) -> float:
        """The core's clock as the registers have it."""

    def slept(self, seconds: float, *, received: bool) -> None:  # noqa: B027
        """The core has slept so long, and has received something or not."""

    def seconds_to_alarm(self) -> float:
        """For how long it may sleep before a timer of the chip wakes it."""
        return _SLEEP_SECONDS

    def add_hooks(self, core: Any) -> None:  # noqa: B027
        """Add a ROM and the like to the core."""

    # What chips use

    def transmit(self, byte: int, baud: float) -> None:
        """A byte leaves the UART; at another rate than the host's it arrives as something else."""
        if self.is_rate_of_host(baud):
            self._outgoing.append(byte & 0xFF)

    def serve_line(self) -> None:
        """Look at the line while the core is at work, if that was not done just now."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK_SECONDS
        self._flush()
        received = self._receive(0.0)
        if received is None:
            self._is_over = True
            self.core.emu_stop()
        else:
            self.incoming += received

    def _flush(self) -> None:
        if self._outgoing:
            self._send(bytes(self._outgoing))
            self._outgoing.clear()

    def is_rate_of_host(self, baud: float) -> bool:
        """Whether what is sent at such a rate is understood."""
        return abs(baud / self.BAUD - 1) < _BAUD_TOLERANCE

    def fail(self, reason: str) -> None:
        """The chip would not go on from here: say why and end."""
        print(reason, file=sys.stderr)
        raise SystemExit(1)

    # The core

    def _make_core(self) -> Any:
        core: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        core.ctl_set_cpu_model(getattr(arm, f"UC_CPU_ARM_{self.CPU}"))
        allowed = unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC
        if self.FLASH_WRITABLE:
            allowed |= unicorn.UC_PROT_WRITE
        # The core's memory is this process's: what a ROM function or the flash interface writes is in the file at once.
        core.mem_map_ptr(self.FLASH_BASE, len(self.flash), allowed, _address_of(self.flash))
        for base, size in self.RAM:
            core.mem_map(base, (size + 0xFFF) & ~0xFFF)
        for base, size in self.REGISTERS:
            core.mmio_map(base, size, self._read_register, base, self._write_register, base)
        core.mmio_map(SYSTEM_BASE, 0x1000, self._read_system, None, self._write_system, None)
        core.hook_add(unicorn.UC_HOOK_INTR, lambda uc, number, data: uc.emu_stop())
        self.add_hooks(core)
        return core

    def count_instructions(self) -> None:
        """Let the core's counters count: the trace unit's, and the system timer where it is no clock of the port."""
        self._instructions = 0
        self.core.mmio_map(_TRACE_BASE, 0x1000, self._read_trace, None, self._write_trace, None)
        self.core.hook_add(unicorn.UC_HOOK_BLOCK, self._count_block)

    def _count_block(self, core: Any, address: int, size: int, data: object) -> None:
        """A block of instructions is about to run, all of them.

        A counter that is read in it shows those behind the reading as well: always as many for the same place in the
        program, so that differences between readings of one place are exact.
        """
        length = self._block_lengths.get((address, size))
        if length is None:
            code = bytes(core.mem_read(address, size))
            length, place = 0, 0
            while place < size:
                place += 4 if code[place + 1] >> 3 in _WIDE_INSTRUCTIONS else 2
                length += 1
            if self.FLASH_BASE <= address < self.FLASH_BASE + len(self.flash):
                # What is in RAM may be overwritten by another program.
                self._block_lengths[address, size] = length
        self._instructions = (self._instructions or 0) + length

    def _read_trace(self, core: Any, offset: int, size: int, data: object) -> int:
        if _TRACE_BASE + offset == _TRACE_CYCLES:
            # It runs already where it has just been set to 0.
            return ((self._instructions or 0) - self._counted_from + 1) & 0xFFFFFFFF
        return self.registers.get(_TRACE_BASE + offset, 0)

    def _write_trace(self, core: Any, offset: int, size: int, value: int, data: object) -> None:
        self.registers[_TRACE_BASE + offset] = value
        if _TRACE_BASE + offset == _TRACE_CYCLES:
            self._counted_from = (self._instructions or 0) - value

    def load(self, image: Path) -> None:
        """Write an ELF file's segments into flash, as a programmer would, and stop where interrupts are unmasked."""
        with image.open("rb") as file:
            for segment in ELFFile(file).iter_segments("PT_LOAD"):
                offset, data = segment["p_paddr"] - self.FLASH_BASE, segment.data()
                if not data:
                    continue
                self.flash[offset : offset + len(data)] = data
                place = data.find(_UNMASK_INTERRUPTS)
                while place >= 0:
                    if place % 2 == 0:
                        # Where it is stored, and where code that is copied to RAM runs.
                        for base in {segment["p_paddr"], segment["p_vaddr"]}:
                            at = base + place + 2
                            self.core.hook_add(unicorn.UC_HOOK_CODE, self._stop_for_interrupt, None, at, at)
                    place = data.find(_UNMASK_INTERRUPTS, place + 1)

    def run(self) -> None:
        """Run until `receive` says that it is over."""
        core = self.core
        self._restart()
        while True:
            try:
                core.emu_start(self._place | 1, _HANDLER_RETURN)
            except unicorn.UcError as error:
                self.fail(f"the firmware crashed at {core.reg_read(arm.UC_ARM_REG_PC):#010x}: {error}")
            self._place = core.reg_read(arm.UC_ARM_REG_PC)
            if self._is_over:
                return
            if self._reset_wanted:
                self._restart()
                continue
            if self._place & ~1 == _HANDLER_RETURN:
                self._leave_exception()
            elif self._pending() is None and not self._sleep():
                return
            pending = self._pending()
            if pending is not None and core.reg_read(arm.UC_ARM_REG_PRIMASK) == 0:
                self._enter_exception(pending)

    def _restart(self) -> None:
        self.registers.clear()
        self._enabled, self._reset_wanted = 0, False
        self.core.reg_write(arm.UC_ARM_REG_PRIMASK, 0)
        self.core.reg_write(arm.UC_ARM_REG_LR, 0)
        self._place = self.boot()

    def _stop_for_interrupt(self, core: Any, address: int, size: int, data: object) -> None:
        self.serve_line()
        if self._pending() is not None:
            core.emu_stop()

    def _sleep(self) -> bool:
        """The core waits for an interrupt; False: it is over."""
        self._flush()
        limit = min(_SLEEP_SECONDS, self.seconds_to_alarm())
        started = time.monotonic()
        if self._ticks:
            limit = min(limit, max(0.0, self._tick_due - started))
        received = self._receive(limit)
        if received is None:
            return False
        self.incoming += received
        self.slept(time.monotonic() - started, received=bool(received))
        return True

    @property
    def _ticks(self) -> bool:
        return self.registers.get(_SYSTICK_CONTROL, 0) & 3 == 3

    def _pending(self) -> int | None:
        """The exception to take next."""
        for interrupt in self.raised():
            if self._enabled >> interrupt & 1:
                return FIRST_INTERRUPT + interrupt
        if self._ticks and time.monotonic() >= self._tick_due:
            return SYSTICK
        return None

    def _enter_exception(self, number: int) -> None:
        if number == SYSTICK:
            # What a busy computer missed does not come all at once.
            self._tick_due = max(self._tick_due, time.monotonic() - 0.01) + self._tick_seconds()
        core = self.core
        saved = [arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3, arm.UC_ARM_REG_R12]
        values = [core.reg_read(register) for register in (*saved, arm.UC_ARM_REG_LR)]
        stack = core.reg_read(arm.UC_ARM_REG_SP)
        # The stack is aligned for the handler; bit 9 of the saved status says whether that took a word.
        padded = stack % 8 != 0
        status = core.reg_read(arm.UC_ARM_REG_APSR) & 0xF80F0000 | 1 << 24 | (1 << 9 if padded else 0)
        stack -= 32 + (4 if padded else 0)
        core.mem_write(stack, struct.pack("<8I", *values, self._place & ~1, status))
        core.reg_write(arm.UC_ARM_REG_SP, stack)
        core.reg_write(arm.UC_ARM_REG_LR, _HANDLER_RETURN | 1)
        table = self.registers.get(_VECTOR_TABLE, 0)
        self._place = int.from_bytes(core.mem_read(table + 4 * number, 4), "little")

    def _leave_exception(self) -> None:
        core = self.core
        stack = core.reg_read(arm.UC_ARM_REG_SP)
        *values, place, status = struct.unpack("<8I", core.mem_read(stack, 32))
        registers = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3, arm.UC_ARM_REG_R12)
        for register, value in zip((*registers, arm.UC_ARM_REG_LR), values, strict=True):
            core.reg_write(register, value)
        core.reg_write(arm.UC_ARM_REG_SP, stack + 32 + (4 if status >> 9 & 1 else 0))
        core.reg_write(arm.UC_ARM_REG_APSR, status & 0xF80F0000)
        self._place = place

    # The core's own registers

    def _tick_seconds(self) -> float:
        return float((self.registers.get(_SYSTICK_RELOAD, 0) + 1) / self.core_hz())

    def _systick_value(self) -> int:
        """It counts down: by this computer's time where it is a clock, else by instructions."""
        reload = self.registers.get(_SYSTICK_RELOAD, 0)
        if self._ticks:
            left = (self._tick_due - time.monotonic()) / self._tick_seconds()
            return round(reload * min(max(left, 0.0), 1.0))
        return int(reload - (self._instructions or 0) % (reload + 1))

    def _read_system(self, core: Any, offset: int, size: int, data: object) -> int:
        if self._instructions is not None and SYSTEM_BASE + offset == _SYSTICK_VALUE:
            return self._systick_value()
        return self.registers.get(SYSTEM_BASE + offset, 0)

    def _write_system(self, core: Any, offset: int, size: int, value: int, data: object) -> None:
        address = SYSTEM_BASE + offset
        self.registers[address] = value
        if _ENABLE_FIRST <= address < _ENABLE_END:
            self._enabled |= value << 8 * (address - _ENABLE_FIRST)
        elif address == _SYSTICK_CONTROL:
            self._tick_due = time.monotonic() + self._tick_seconds()
        elif address == _RESET_CONTROL and value >> 16 == _RESET_KEY and value & _RESET_REQUEST:
            self._reset_wanted = True
            core.emu_stop()

    # The chip's registers

    def _read_register(self, core: Any, offset: int, size: int, base: int) -> int:
        return self.read(base + offset) & 0xFFFFFFFF

    def _write_register(self, core: Any, offset: int, size: int, value: int, base: int) -> None:
        self.write(base + offset, value)


def _address_of(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
