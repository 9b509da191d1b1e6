"""The price of a block of instructions: how many there are and, where the vendor publishes timings, their cycles.

Cycles at zero wait states, for instructions and data:

- Cortex-M0+: Arm DDI 0484C, table 3-1, with the single-cycle multiplier.
- Cortex-M3: Arm DDI 0337I, table 3-1 and the pairing rules of section 3.3.3.
- Cortex-M4: Arm DDI 0439D, table 3-1, the pairing rules of section 3.3.3, and table 7-1 for its float unit.

What the tables leave open is decided here, and the page says so: a pipeline refill (P, 1 to 3) is 2 cycles; a division
(2 to 12) is 12; Cortex-M3's long products are at their upper end. A load that follows a load and does not need its
result for its address costs one cycle less, and so does a store; a store with an immediate offset is one cycle. Not
charged: the stall where an address was computed by the instruction before, and alignment of fetches. An instruction
that an IT block skips is priced as if it ran, except branches.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from nrl_edge.errors import MissingToolError, RunError

REFILL = 2
"""P of the tables of Cortex-M3 and M4."""
DIVISION = 12
TIMED_CORES = ("m0plus", "m3", "m4")


@dataclass(frozen=True)
class BlockPrice:
    """What a block costs."""

    instructions: int
    cycles: int
    """Where its last instruction leads on to the next address, or always where that is no conditional branch."""
    taken: int
    """More where the conditional branch at its end is taken."""


def instruction_bytes(core_id: str, first: bytes) -> int:
    """Length of an instruction of Thumb or RISC-V, by its first two bytes."""
    halfword = first[0] | first[1] << 8
    wide = halfword & 3 == 3 if core_id == "rv32" else halfword >> 11 in (0b11101, 0b11110, 0b11111)
    return 4 if wide else 2


def count_instructions(core_id: str, code: bytes) -> int:
    """Number of instructions in a block of code, by their lengths alone."""
    count = place = 0
    while place < len(code):
        place += instruction_bytes(core_id, code[place : place + 2])
        count += 1
    return count


class Pricer:
    """Prices blocks of one core."""

    def __init__(self, core_id: str) -> None:
        self._core_id = core_id
        self._decoder: Any = None
        if core_id in TIMED_CORES:
            try:
                capstone: Any = import_module("capstone")
            except ImportError as error:
                raise MissingToolError(
                    "pricing instructions of Arm cores needs capstone; install it with: pip install capstone"
                ) from error
            self._capstone = capstone
            self._arm: Any = import_module("capstone.arm")
            self._decoder = capstone.Cs(capstone.CS_ARCH_ARM, capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS)
            self._decoder.detail = True

    def price(self, address: int, code: bytes) -> BlockPrice:
        """What a block costs. Raises RunError where it cannot be decoded."""
        instructions = count_instructions(self._core_id, code)
        if self._decoder is None:
            return BlockPrice(instructions, instructions, 0)
        decoded = list(self._decoder.disasm(code, address))
        if sum(each.size for each in decoded) != len(code):
            raise RunError(f"no instruction could be decoded at {address:#x}: {code.hex()}")
        cycles, previous = 0, None
        for each in decoded:
            cycles += self._cycles(each, previous)
            previous = each
        return BlockPrice(instructions, cycles, self._taken(decoded[-1]))

    def _mnemonic(self, instruction: Any) -> str:
        """Without condition, width and flag suffixes."""
        name: str = instruction.mnemonic.split(".")[0]
        condition = self._condition(instruction)
        if condition:
            name = name.removesuffix(condition)
        return name

    def _condition(self, instruction: Any) -> str:
        arm = self._arm
        names = {
            arm.ARM_CC_EQ: "eq", arm.ARM_CC_NE: "ne", arm.ARM_CC_HS: "hs", arm.ARM_CC_LO: "lo", arm.ARM_CC_MI: "mi",
            arm.ARM_CC_PL: "pl", arm.ARM_CC_VS: "vs", arm.ARM_CC_VC: "vc", arm.ARM_CC_HI: "hi", arm.ARM_CC_LS: "ls",
            arm.ARM_CC_GE: "ge", arm.ARM_CC_LT: "lt", arm.ARM_CC_GT: "gt", arm.ARM_CC_LE: "le",
        }  # fmt: skip
        return names.get(instruction.cc, "")

    def _registers(self, instruction: Any) -> list[int]:
        register = self._capstone.CS_OP_REG
        return [operand.reg for operand in instruction.operands if operand.type == register]

    def _writes_pc(self, instruction: Any) -> bool:
        return self._arm.ARM_REG_PC in self._registers(instruction)

    def _memory(self, instruction: Any) -> Any:
        return next((o.mem for o in instruction.operands if o.type == self._capstone.CS_OP_MEM), None)

    def _taken(self, last: Any) -> int:
        name = self._mnemonic(last)
        refill = 1 if self._core_id == "m0plus" else REFILL
        if name in ("cbz", "cbnz") or (name in ("b", "bl", "bx", "blx") and self._condition(last)):
            return refill
        return 0

    def _cycles(self, instruction: Any, previous: Any) -> int:
        name = self._mnemonic(instruction)
        conditional = bool(self._condition(instruction))
        if self._core_id == "m0plus":
            return self._cycles_m0plus(name, conditional, instruction)
        return self._cycles_m3_m4(name, conditional, instruction, previous)

    def _cycles_m0plus(self, name: str, conditional: bool, instruction: Any) -> int:
        count = len(self._registers(instruction))
        if name == "pop":
            return (3 if self._writes_pc(instruction) else 1) + count
        if name == "push":
            return 1 + count
        if name in ("ldm", "stm", "ldmia", "stmia"):
            return count  # the base register is one of the operands
        if name.startswith(("ldr", "str")):
            return 2
        if name == "b":
            return 1 if conditional else 2
        if name == "bl":
            return 3
        if name in ("bx", "blx"):
            return 2
        if name in ("mov", "add") and self._registers(instruction)[:1] == [self._arm.ARM_REG_PC]:
            return 2
        if name in ("mrs", "msr", "dmb", "dsb", "isb"):
            return 3
        return 1

    def _cycles_m3_m4(self, name: str, conditional: bool, instruction: Any, previous: Any) -> int:
        m4 = self._core_id == "m4"
        count = len(self._registers(instruction))
        if name in ("pop", "push"):
            return 1 + count + (REFILL if name == "pop" and self._writes_pc(instruction) else 0)
        if name.startswith(("ldm", "stm")):
            return count + (REFILL if name.startswith("ldm") and self._writes_pc(instruction) else 0)
        if name in ("ldrd", "strd"):
            return 3
        if name.startswith(("ldr", "str")):
            return self._single_access(name, instruction, previous)
        if name in ("b", "bl", "bx", "blx"):
            return 1 if conditional else 1 + REFILL
        if name in ("tbb", "tbh"):
            return 2 + REFILL
        if name in ("mla", "mls"):
            return 1 if m4 else 2
        if name in ("smull", "umull"):
            return 1 if m4 else 5
        if name in ("smlal", "umlal"):
            return 1 if m4 else 7
        if name in ("sdiv", "udiv"):
            return DIVISION
        if name in ("mov", "add") and self._registers(instruction)[:1] == [self._arm.ARM_REG_PC]:
            return 1 + REFILL
        if name.startswith("v"):
            return self._float_cycles(name, count)
        return 1

    def _float_cycles(self, name: str, registers: int) -> int:
        if name in ("vpush", "vpop"):
            return 1 + registers
        if name.startswith(("vldm", "vstm")):
            return registers  # the base register is one of the operands
        if name in ("vldr", "vstr"):
            return 2
        if name in ("vdiv", "vsqrt"):
            return 14
        if name.startswith(("vmla", "vmls", "vnmla", "vnmls", "vfma", "vfms", "vfnma", "vfnms")):
            return 3
        if name in ("vadd", "vsub", "vmul", "vnmul", "vneg", "vabs", "vcmp", "vcmpe", "vcvt", "vmov", "vmrs", "vmsr"):
            return 1
        raise RunError(f"no timing of {name} is kept here; add it from table 7-1 of Arm DDI 0439D")

    def _single_access(self, name: str, instruction: Any, previous: Any) -> int:
        memory = self._memory(instruction)
        load = name.startswith("ldr")
        if load and self._registers(instruction)[:1] == [self._arm.ARM_REG_PC]:
            return 2 + REFILL
        indexed = memory is not None and memory.index != 0
        if not load and not indexed:
            return 1
        follows_load = previous is not None and self._mnemonic(previous).startswith("ldr")
        if follows_load and self._mnemonic(previous) != "ldrd" and not previous.writeback:
            loaded = self._registers(previous)[:1]
            if memory is not None and memory.base not in loaded and memory.index not in loaded:
                return 1
        return 2
