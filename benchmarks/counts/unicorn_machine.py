"""Runs a counted image on a core of unicorn and logs every block of instructions.

Unicorn, like QEMU, translates straight runs of instructions; its hook is called each time that such a block is run. An
instruction that an IT block skips stays in its block: it is executed, as one that does nothing.
"""

from __future__ import annotations

import ctypes
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.counts.build import CODE_BASE, HERE, RAM_BASE, RAM_BYTES, Image
from benchmarks.counts.cores import Core
from benchmarks.counts.naive import FLOAT_UNITS
from benchmarks.counts.networks import Stream, call_bytes
from nrl_edge.errors import MissingToolError, RunError
from nrl_edge.native.compiler import build_cached

CODE_BYTES = 1 << 20
_LOG_BLOCKS = 1 << 20
"""Blocks that one call may run: a naive step in software floats takes a tenth of them."""

Blocks = NDArray[np.uint32]
"""(blocks, 2): address and length in bytes."""


class _Log(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint64), ("capacity", ctypes.c_uint64), ("blocks", ctypes.c_void_p))


@cache
def _hook() -> Any:
    source = (HERE / "block_log.c").read_text(encoding="utf-8")
    return ctypes.CDLL(str(build_cached({"block_log.c": source}, "block-log", shared=True)))


def _unicorn() -> Any:
    try:
        return import_module("unicorn")
    except ImportError as error:
        raise MissingToolError(
            "counting on Arm and RISC-V needs unicorn and capstone; install them with: pip install unicorn capstone"
        ) from error


class UnicornMachine:
    """One image on one core."""

    def __init__(self, core: Core, image: Image) -> None:
        unicorn = _unicorn()
        self._image = image
        if core.id == "rv32":
            registers: Any = import_module("unicorn.riscv_const")
            self._uc: Any = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
            self._pc, self._return = registers.UC_RISCV_REG_PC, registers.UC_RISCV_REG_RA
            stack, self._thumb = registers.UC_RISCV_REG_SP, 0
        else:
            registers = import_module("unicorn.arm_const")
            self._uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
            self._uc.ctl_set_cpu_model(getattr(registers, f"UC_CPU_ARM_CORTEX_{core.id.removesuffix('plus').upper()}"))
            self._pc, self._return = registers.UC_ARM_REG_PC, registers.UC_ARM_REG_LR
            stack, self._thumb = registers.UC_ARM_REG_SP, 1
            if core.id in FLOAT_UNITS:
                # As start-up code does: full access to the float unit.
                self._uc.reg_write(registers.UC_ARM_REG_C1_C0_2, 0xF << 20)
                self._uc.reg_write(registers.UC_ARM_REG_FPEXC, 1 << 30)
        self._uc.mem_map(0, CODE_BASE + CODE_BYTES)
        self._uc.mem_map(RAM_BASE, RAM_BYTES)
        for address, contents in image.segments:
            self._uc.mem_write(address, contents)
        self._uc.reg_write(stack, RAM_BASE + RAM_BYTES - 16)
        if core.id == "rv32":
            self._uc.reg_write(registers.UC_RISCV_REG_GP, image.global_pointer)
        self._log_memory = np.zeros((_LOG_BLOCKS, 2), np.uint32)
        self._log = _Log(0, _LOG_BLOCKS, self._log_memory.ctypes.data)
        self._add_hook(unicorn.UC_HOOK_BLOCK)
        self._next = image.address_of("counted_next")
        self._go(image.address_of("main"))

    def _add_hook(self, kind: int) -> None:
        """The package only takes hooks in Python, which cost a hundred times what the block does."""
        library = import_module("unicorn.unicorn_py3.unicorn").uclib
        handle = ctypes.c_size_t()
        function = ctypes.cast(_hook().block_log_add, ctypes.c_void_p)
        status = library.uc_hook_add(
            self._uc._uch,
            ctypes.byref(handle),
            kind,
            function,
            ctypes.cast(ctypes.byref(self._log), ctypes.c_void_p),
            ctypes.c_uint64(1),
            ctypes.c_uint64(0),
        )
        if status != 0:
            raise RunError(f"unicorn took no hook (status {status}); this needs unicorn 2.1")

    def _go(self, address: int) -> None:
        self._log.count = 0
        self._uc.emu_start(address | self._thumb, self._next)
        if self._uc.reg_read(self._pc) != self._next:
            raise RunError(f"the counted program left its way at {self._uc.reg_read(self._pc):#x}")

    def call(self, stream: Stream, index: int, entry: int) -> Blocks:
        """Make one call of a stream; returns the blocks from `entry`, the function that is counted, to its return."""
        self._uc.mem_write(self._image.variables["counted_input"].address, call_bytes(stream, index))
        # counted_next does nothing but return.
        self._go(self._uc.reg_read(self._return) & ~1)
        if self._log.count > _LOG_BLOCKS:
            raise RunError(f"one call ran {self._log.count} blocks, more than are logged")
        blocks = self._log_memory[: self._log.count]
        begin = int(np.flatnonzero(blocks[:, 0] == entry)[0])
        # The function is called from counted_call and nothing else of it runs before the return.
        end = self._first_after(blocks, begin)
        return blocks[begin:end].copy()

    def _first_after(self, blocks: Blocks, begin: int) -> int:
        """The block that the counted function returns to: the first one in its caller."""
        caller = self._image.function("counted_call")
        low, high = caller.address, caller.address + caller.bytes
        inside = (blocks[begin:, 0] >= low) & (blocks[begin:, 0] < high)
        places = np.flatnonzero(inside)
        if len(places):
            return begin + int(places[0])
        # A tail call: counted_call is left with it, and the return leads to main.
        main = self._image.function("main")
        inside = (blocks[begin:, 0] >= main.address) & (blocks[begin:, 0] < main.address + main.bytes)
        return begin + int(np.flatnonzero(inside)[0])

    def word(self, name: str) -> int:
        """A uint32 of the program."""
        return int.from_bytes(self._uc.mem_read(self._image.variables[name].address, 4), "little")
