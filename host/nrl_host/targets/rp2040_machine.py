"""A Raspberry Pi Pico: an RP2040 whose core is unicorn's, and whose peripherals are modelled here, behind TCP.

    python -m nrl_host.targets.rp2040_machine IMAGE [--flash FILE] [--seed N] [--rosc KIND] [--count]

prints "listening on 127.0.0.1:PORT", serves one peer after the other, and ends when standard input closes. IMAGE is an
ELF file. Start-up is the chip's: the second stage is checked and run as the boot ROM does it (RP2040 Datasheet 2.8.1).
FILE is the flash chip: what is written is kept there.

Interrupts are taken where the core sleeps and where it unmasks them, and nowhere else: this program never waits for one
in a loop. Time is that of this computer while the core sleeps, and a microsecond for every look at the timer.

With --count the system timer counts instructions, one a tick; without, it stands still, and the machine is faster.

KIND is how the ring oscillator's random bit is: `healthy` (biased and correlated as the real one), `zero`, `one`,
`period2`, `bias60`, `dead` (the oscillator never runs), or `late:N` (healthy for N bits, then stuck at one).
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from unicorn import arm_const as arm

FLASH_BASE, FLASH_BYTES = 0x10000000, 2 << 20
RAM_BASE, RAM_BYTES = 0x20000000, 264 << 10
ROM_BYTES = 0x4000
BOOT2_BYTES, BOOT2_RUNS_AT = 256, 0x20041F00
SECTOR_BYTES = 4096

unicorn: Any = import_module("unicorn")  # the package has no types
_PERIPHERALS = (0x40000000, 0x80000)
_SSI, _SYSTEM = 0x18000000, 0xE000E000
_EXCEPTION_RETURN = 0xFFFFFFF8
_UNMASK_INTERRUPTS = b"\x62\xb6"
"""The instruction `cpsie i`."""
_SLEEP_SECONDS = 0.02
_STABLE = 1 << 31
_UART_INTERRUPT, _TIMER_INTERRUPT = 20, 0

_RESETS, _CLOCKS, _XOSC, _PLL, _ROSC = 0x4000C000, 0x40008000, 0x40024000, 0x40028000, 0x40060000
_UART, _TIMER = 0x40034000, 0x40054000
_SYSTICK_RELOAD, _SYSTICK_VALUE = _SYSTEM + 0x14, _SYSTEM + 0x18
_WIDE_INSTRUCTIONS = (0b11101, 0b11110, 0b11111)
"""The upper five bits of a Thumb instruction of 32 bits."""


class RingOscillator:
    """The random bit of the ring oscillator, well or sick."""

    KINDS = ("healthy", "zero", "one", "period2", "bias60", "dead")

    def __init__(self, kind: str, seed: int) -> None:
        self.good_bits = None
        if kind.startswith("late:"):
            kind, self.good_bits = "healthy", int(kind.removeprefix("late:"))
        if kind not in self.KINDS:
            raise ValueError(f"--rosc {kind}: one of {', '.join(self.KINDS)} or late:N")
        self.kind = kind
        self._random = random.Random(seed)
        self._last = 0
        self.read = 0

    @property
    def is_running(self) -> bool:
        """Whether the status says that it runs."""
        return self.kind != "dead"

    def bit(self) -> int:
        """The next one."""
        self.read += 1
        if self.good_bits is not None and self.read > self.good_bits:
            return 1
        drawn = self._random.random()
        if self.kind == "healthy":
            # A one with a chance of 0.48, and as the one before with 0.52: between what was measured and fair.
            bit = self._last if drawn < 0.04 else int(self._random.random() < 0.48)
        else:
            bit = {"zero": 0, "one": 1, "dead": 0, "period2": 1 - self._last, "bias60": int(drawn < 0.6)}[self.kind]
        self._last = bit
        return bit


class Machine:
    """The chip. `receive` gives bytes for the UART, waiting at most so many seconds; `send` takes what it sends."""

    def __init__(
        self,
        flash: mmap.mmap,
        oscillator: RingOscillator,
        receive: Callable[[float], bytes | None],
        send: Callable[[bytes], None],
        *,
        counts: bool = False,
    ) -> None:
        self._flash = flash
        self._oscillator = oscillator
        self._receive = receive
        self._send = send
        self._registers: dict[int, int] = {}
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._microseconds = 0
        self._enabled = 0
        self._timer_raised = False
        self._reset_wanted = False
        self._operation: tuple[str, tuple[int, ...]] | None = None
        self._counts = counts
        self._instructions = 0
        self._block_lengths: dict[tuple[int, int], int] = {}
        self._core = self._make_core()

    # The core

    def _make_core(self) -> Any:
        core: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        core.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M0)
        # The core writes what the ROM's functions would: as memory of this process it is in the file at once.
        core.mem_map_ptr(FLASH_BASE, FLASH_BYTES, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC, _address_of(self._flash))
        core.mem_map(RAM_BASE, (RAM_BYTES + 0xFFF) & ~0xFFF)
        core.mem_map(0, ROM_BYTES, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        core.mmio_map(*_PERIPHERALS, self._read_peripheral, None, self._write_peripheral, None)
        core.mmio_map(_SSI, 0x1000, self._read_plain, _SSI, self._write_plain, _SSI)
        core.mmio_map(_SYSTEM, 0x1000, self._read_system, None, self._write_system, None)
        if self._counts:
            core.hook_add(unicorn.UC_HOOK_BLOCK, self._count_block)
        core.hook_add(unicorn.UC_HOOK_INTR, lambda uc, number, data: uc.emu_stop())
        self._add_rom(core)
        return core

    def _add_rom(self, core: Any) -> None:
        """The table of ROM functions: each is a `bx lr` that a hook does the work for."""
        lookup, table, first = 0x100, 0x200, 0x300
        rom = bytearray(ROM_BYTES)
        struct.pack_into("<H", rom, 0x14, table)
        struct.pack_into("<H", rom, 0x18, lookup | 1)
        codes = {}
        for index, name in enumerate(("lookup", "IF", "EX", "RE", "RP", "FC", "CX")):
            address = lookup if name == "lookup" else first + 16 * index
            struct.pack_into("<H", rom, address, 0x4770)
            if name != "lookup":
                codes[ord(name[0]) | ord(name[1]) << 8] = address | 1

            def work(uc: Any, place: int, size: int, name: str) -> None:
                if name == "lookup":
                    uc.reg_write(arm.UC_ARM_REG_R0, codes.get(uc.reg_read(arm.UC_ARM_REG_R1), 0))
                elif name == "RE":
                    begin, count = (uc.reg_read(register) for register in (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1))
                    self._flash[begin : begin + count] = b"\xff" * count
                elif name == "RP":
                    begin, source, count = (
                        uc.reg_read(register) for register in (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2)
                    )
                    data = uc.mem_read(source, count)
                    # From ones to zeros only, as flash is.
                    old = self._flash[begin : begin + count]
                    self._flash[begin : begin + count] = bytes(a & b for a, b in zip(old, data, strict=True))

            core.hook_add(unicorn.UC_HOOK_CODE, work, name, address, address)
        core.mem_write(0, bytes(rom))

    def _boot(self) -> None:
        """What the boot ROM does with flash. Raises SystemExit where it would not start."""
        stage = self._flash[:BOOT2_BYTES]
        if boot_crc(stage[:-4]) != int.from_bytes(stage[-4:], "little"):
            raise SystemExit("the image is not bootable: the CRC of its second stage is wrong")
        core = self._core
        self._registers.clear()
        self._enabled, self._timer_raised, self._reset_wanted = 0, False, False
        core.mem_write(BOOT2_RUNS_AT, stage)
        core.reg_write(arm.UC_ARM_REG_PRIMASK, 0)
        core.reg_write(arm.UC_ARM_REG_SP, BOOT2_RUNS_AT)
        core.reg_write(arm.UC_ARM_REG_LR, 0)
        self._place = BOOT2_RUNS_AT

    def load(self, image: Path) -> None:
        """Write an ELF file's segments into flash, as a programmer would, and stop where interrupts are unmasked."""
        with image.open("rb") as file:
            for segment in ELFFile(file).iter_segments("PT_LOAD"):
                offset, data = segment["p_paddr"] - FLASH_BASE, segment.data()
                if data:
                    self._flash[offset : offset + len(data)] = data
                    self._core.mem_write(segment["p_paddr"], data)
                    place = data.find(_UNMASK_INTERRUPTS)
                    while place >= 0:
                        if place % 2 == 0:
                            at = segment["p_paddr"] + place + 2
                            self._core.hook_add(unicorn.UC_HOOK_CODE, self._stop_for_interrupt, None, at, at)
                        place = data.find(_UNMASK_INTERRUPTS, place + 1)

    def run(self) -> None:
        """Run until `receive` says, by None, that it is over."""
        core = self._core
        self._boot()
        while True:
            try:
                core.emu_start(self._place | 1, _EXCEPTION_RETURN)
            except unicorn.UcError as error:
                print(f"the firmware crashed at {core.reg_read(arm.UC_ARM_REG_PC):#010x}: {error}", file=sys.stderr)
                return
            self._place = core.reg_read(arm.UC_ARM_REG_PC)
            if self._reset_wanted:
                self._boot()
                continue
            if self._place & ~1 == _EXCEPTION_RETURN:
                self._leave_exception()
            elif not self._is_pending and not self._sleep():
                return
            if self._is_pending and core.reg_read(arm.UC_ARM_REG_PRIMASK) == 0:
                self._enter_exception(_TIMER_INTERRUPT if self._timer_raised else _UART_INTERRUPT)

    def _stop_for_interrupt(self, core: Any, address: int, size: int, data: object) -> None:
        if self._is_pending:
            core.emu_stop()

    def _sleep(self) -> bool:
        """The core waits for an interrupt; False: it is over."""
        if self._outgoing:
            self._send(bytes(self._outgoing))
            self._outgoing.clear()
        alarm = self._registers.get(_TIMER + 0x10, 0)
        left = (alarm - self._microseconds) & 0xFFFFFFFF
        started = time.monotonic()
        received = self._receive(min(left / 1e6, _SLEEP_SECONDS))
        self._microseconds += int((time.monotonic() - started) * 1e6)
        if received is None:
            return False
        self._incoming += received
        if not received and self._registers.get(_TIMER + 0x38, 0) & 1:
            self._timer_raised = True
        return True

    @property
    def _is_pending(self) -> bool:
        receives = self._registers.get(_UART + 0x38, 0) & 0x50
        uart = bool(self._incoming and receives and self._enabled >> _UART_INTERRUPT & 1)
        return uart or (self._timer_raised and bool(self._enabled >> _TIMER_INTERRUPT & 1))

    def _enter_exception(self, interrupt: int) -> None:
        core = self._core
        saved = [arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3, arm.UC_ARM_REG_R12]
        values = [core.reg_read(register) for register in (*saved, arm.UC_ARM_REG_LR)]
        stack = core.reg_read(arm.UC_ARM_REG_SP)
        # The stack is aligned for the handler; bit 9 of the saved status says whether that took a word.
        padded = stack % 8 != 0
        status = core.reg_read(arm.UC_ARM_REG_APSR) & 0xF0000000 | 1 << 24 | (1 << 9 if padded else 0)
        stack -= 32 + (4 if padded else 0)
        core.mem_write(stack, struct.pack("<8I", *values, self._place & ~1, status))
        core.reg_write(arm.UC_ARM_REG_SP, stack)
        core.reg_write(arm.UC_ARM_REG_LR, 0xFFFFFFF9)
        table = self._registers.get(_SYSTEM + 0xD08, 0)
        self._place = int.from_bytes(core.mem_read(table + 4 * (16 + interrupt), 4), "little")

    def _leave_exception(self) -> None:
        core = self._core
        stack = core.reg_read(arm.UC_ARM_REG_SP)
        *values, place, status = struct.unpack("<8I", core.mem_read(stack, 32))
        registers = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3, arm.UC_ARM_REG_R12)
        for register, value in zip((*registers, arm.UC_ARM_REG_LR), values, strict=True):
            core.reg_write(register, value)
        core.reg_write(arm.UC_ARM_REG_SP, stack + 32 + (4 if status >> 9 & 1 else 0))
        core.reg_write(arm.UC_ARM_REG_APSR, status & 0xF0000000)
        self._place = place

    # Registers

    def _read_plain(self, core: Any, offset: int, size: int, base: int) -> int:
        return self._registers.get(base + offset, 0)

    def _write_plain(self, core: Any, offset: int, size: int, value: int, base: int) -> None:
        self._registers[base + offset] = value

    def _count_block(self, core: Any, address: int, size: int, data: object) -> None:
        """A block of instructions is about to run, all of them.

        A register that is read in it sees those behind the reading as well: always as many for the same place in the
        program, so that differences between readings of one place are exact.
        """
        length = self._block_lengths.get((address, size))
        if length is None:
            code = bytes(core.mem_read(address, size))
            length, place = 0, 0
            while place < size:
                place += 4 if code[place + 1] >> 3 in _WIDE_INSTRUCTIONS else 2
                length += 1
            if address >= FLASH_BASE and address < RAM_BASE:
                # What is in RAM may be overwritten by another program.
                self._block_lengths[address, size] = length
        self._instructions += length

    def _read_system(self, core: Any, offset: int, size: int, data: object) -> int:
        if _SYSTEM + offset == _SYSTICK_VALUE and self._counts:
            reload = self._registers.get(_SYSTICK_RELOAD, 0)
            return reload - self._instructions % (reload + 1)
        return self._registers.get(_SYSTEM + offset, 0)

    def _write_system(self, core: Any, offset: int, size: int, value: int, data: object) -> None:
        if offset == 0x100:
            self._enabled |= value
        elif offset == 0xD0C and value >> 16 == 0x05FA and value & 4:
            self._reset_wanted = True
            core.emu_stop()
        self._registers[_SYSTEM + offset] = value

    def _read_peripheral(self, core: Any, offset: int, size: int, data: object) -> int:
        address = _PERIPHERALS[0] + offset
        if address == _TIMER + 0x28:
            self._microseconds = (self._microseconds + 1) & 0xFFFFFFFF
            return self._microseconds
        if address == _ROSC + 0x1C:
            return self._oscillator.bit()
        if address == _ROSC + 0x18:
            return _STABLE if self._oscillator.is_running else 0
        if address == _UART + 0x18:
            return 0 if self._incoming else 1 << 4
        if address == _UART:
            return self._incoming.pop(0) if self._incoming else 0
        if address == _TIMER + 0x34:
            return int(self._timer_raised)
        if address == _RESETS + 0x8:
            return ~self._registers.get(_RESETS, 0x01FFFFFF) & 0x01FFFFFF
        if address in (_XOSC + 0x4, _PLL):
            return self._registers.get(address, 0) | _STABLE
        if address == _CLOCKS + 0x38:
            return 1 << (self._registers.get(_CLOCKS + 0x30, 0) & 3)
        if address == _CLOCKS + 0x44:
            return 1 << (self._registers.get(_CLOCKS + 0x3C, 0) & 1)
        return self._registers.get(address, 0)

    def _write_peripheral(self, core: Any, offset: int, size: int, value: int, data: object) -> None:
        address, way = _PERIPHERALS[0] + (offset & ~0x3000), offset >> 12 & 3
        if address == _UART:
            self._outgoing.append(value & 0xFF)
            return
        if address == _TIMER + 0x34:
            self._timer_raised = self._timer_raised and not value & 1
            return
        old = self._registers.get(address, 0x01FFFFFF if address == _RESETS else 0)
        self._registers[address] = (value, old ^ value, old | value, old & ~value)[way] & 0xFFFFFFFF


def _address_of(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def boot_crc(stage: bytes) -> int:
    """The CRC-32 that the boot ROM asks of the second stage: polynomial 04c11db7, no reflection, from ffffffff."""
    crc = 0xFFFFFFFF
    for byte in stage:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 1 << 31 else 0)) & 0xFFFFFFFF
    return crc


class _Peer:
    """The line: a TCP peer, and standard input, which ends it all."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.peer: socket.socket | None = None

    def receive(self, seconds: float) -> bytes | None:
        line = self.peer or self.listener
        readable, _, _ = select.select([line, sys.stdin], [], [], seconds)
        if sys.stdin in readable and not os.read(sys.stdin.fileno(), 64):
            return None
        if line not in readable:
            return b""
        if self.peer is None:
            self.peer, _ = self.listener.accept()
            # A reply is one small segment; waiting to fill a larger one would cost 40 ms a step.
            self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return b""
        try:
            received = self.peer.recv(4096)
        except OSError:
            received = b""
        if not received:
            self._close()
        return received

    def send(self, data: bytes) -> None:
        try:
            if self.peer is not None:
                self.peer.sendall(data)
        except OSError:
            self._close()

    def _close(self) -> None:
        if self.peer is not None:
            self.peer.close()
        self.peer = None


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", type=Path)
    parser.add_argument("--flash", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rosc", default="healthy")
    parser.add_argument("--count", action="store_true")
    options = parser.parse_args()
    peer = _Peer()
    if options.flash is None:
        flash = mmap.mmap(-1, FLASH_BYTES)
        flash[:] = b"\xff" * FLASH_BYTES
    else:
        if not options.flash.exists():
            options.flash.write_bytes(b"\xff" * FLASH_BYTES)
        with options.flash.open("r+b") as file:
            flash = mmap.mmap(file.fileno(), FLASH_BYTES)
    oscillator = RingOscillator(options.rosc, options.seed)
    machine = Machine(flash, oscillator, peer.receive, peer.send, counts=options.count)
    machine.load(options.image)
    print(f"listening on 127.0.0.1:{peer.listener.getsockname()[1]}", flush=True)
    machine.run()


if __name__ == "__main__":
    main()
