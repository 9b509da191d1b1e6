"""ST's STM32L4 and STM32G4: clocks, USART2, RNG and the flash interface.

Registers: ST RM0351, RM0394, RM0440. What the manuals forbid ends the machine: too few wait states, a PLL out of its
range.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from nrl_host.targets.machines.cortex_m import CortexM, arm, unicorn

FLASH_BASE = 0x08000000
_RCC = 0x40021000
_CR, _CFGR, _PLLCFGR = _RCC, _RCC + 0x08, _RCC + 0x0C
_AHB2ENR, _APB1ENR, _CCIPR, _CRRCR = _RCC + 0x4C, _RCC + 0x58, _RCC + 0x88, _RCC + 0x98
_HSI_HZ = 16e6
_MSI_HZ = (100e3, 200e3, 400e3, 800e3, 1e6, 2e6, 4e6, 8e6, 16e6, 24e6, 32e6, 48e6)
_FLASH = 0x40022000
_ACR, _KEYR, _FLASH_SR, _FLASH_CR, _ECCR = _FLASH, _FLASH + 0x08, _FLASH + 0x10, _FLASH + 0x14, _FLASH + 0x18
_KEYS = [0x45670123, 0xCDEF89AB]
_LOCK, _START, _ERASE, _PROGRAM, _BANK_2 = 1 << 31, 1 << 16, 1 << 1, 1 << 0, 1 << 11
_PROGRAM_ERROR, _SEQUENCE_ERROR = 1 << 3, 1 << 7
_PAGE = 2048
_GPIO_A = 0x48000000
_USART = 0x40004400
_CR1, _BRR, _ISR, _ICR, _RDR, _TDR = _USART, _USART + 0x0C, _USART + 0x1C, _USART + 0x20, _USART + 0x24, _USART + 0x28
_USART_CLOCK, _USART_INTERRUPT = 1 << 17, 38
_RNG = 0x50060800
_RNG_ON, _DRDY, _CECS, _SECS, _SEIS = 1 << 2, 1 << 0, 1 << 1, 1 << 2, 1 << 6
_PWR_CR5, _NO_BOOST = 0x40007080, 1 << 8


class Stm32l4(CortexM):
    """One of these chips."""

    CPU = "CORTEX_M4"
    FLASH_BASE = FLASH_BASE
    FLASH_WRITABLE = True
    RAM: Sequence[tuple[int, int]] = ((0x20000000, 96 << 10),)
    REGISTERS = ((0x40000000, 0x30000), (_GPIO_A, 0x1000), (0x50060000, 0x1000))
    BANKS: int
    RNG_CLOCK_BIT: int
    CR_AT_RESET: int
    CFGR_AT_RESET: int
    HAS_MSI: bool
    FASTEST_HZ: float
    UART_PINS: Sequence[tuple[int, int]]
    """(pin of port A, alternate function) of transmitter and receiver."""

    def boot(self) -> int:
        """The vector table at the beginning of flash."""
        self._writing: tuple[int, bytes] | None = None
        self._keys: list[int] = []
        self._locked = True
        self._status = 0
        self._raised_error = 0
        self.registers |= {_CR: self.CR_AT_RESET, _CFGR: self.CFGR_AT_RESET, _FLASH_CR: _LOCK, _PWR_CR5: _NO_BOOST}
        self.registers[0xE000ED08] = FLASH_BASE
        stack, start = struct.unpack("<2I", self.flash[:8])
        self.core.reg_write(arm.UC_ARM_REG_SP, stack)
        return int(start) & ~1

    # Clocks

    def _msi_hz(self) -> float:
        cr = self.registers[_CR]
        # Until MSIRGSEL says otherwise, the range is that of a start-up.
        return _MSI_HZ[cr >> 4 & 15] if cr & 8 else _MSI_HZ[6]

    def core_hz(self) -> float:
        """HCLK."""
        source = self.registers[_CFGR] & 3
        if source == 1:
            hz = _HSI_HZ
        elif source == 3:
            hz = self._pll_hz()
        else:
            hz = self._msi_hz()
        divider = self.registers[_CFGR] >> 4 & 15
        return hz / (2 ** (divider - 7) if divider >= 8 else 1)

    def _pll_hz(self) -> float:
        factors = self.registers.get(_PLLCFGR, 0)
        if factors & 3 != 2 or not factors >> 24 & 1:
            self.fail("the core runs from a PLL without a source or an output")
        divider = (factors >> 4 & (15 if not self.HAS_MSI else 7)) + 1
        oscillator = _HSI_HZ / divider * (factors >> 8 & 0x7F)
        hz = oscillator / (2 * ((factors >> 25 & 3) + 1))
        if not 64e6 <= oscillator <= 344e6 or hz > self.FASTEST_HZ:
            self.fail(f"the PLL is out of its range: {oscillator / 1e6} and {hz / 1e6} MHz")
        return hz

    def _switch(self, wanted: int) -> None:
        """A new CFGR."""
        ready = {0: self.registers[_CR] >> 1 & 1, 1: self.registers[_CR] >> 8 & 1, 3: self.registers[_CR] >> 24 & 1}
        before = self.registers[_CFGR]
        source = wanted & 3 if ready.get(wanted & 3) else before & 3
        self.registers[_CFGR] = wanted & ~0xF | source | source << 2
        if self.core_hz() > 80e6 and before & 3 != 3 and self.HAS_MSI is False and wanted >> 4 & 15 < 8:
            self.fail("more than 80 MHz were switched to at once")
        if self.core_hz() > 150e6 and self.registers[_PWR_CR5] & _NO_BOOST:
            self.fail("more than 150 MHz without the regulator's boost mode")
        if self.core_hz() > 64e6 and self.registers.get(_ACR, 0) & 15 < 4:
            self.fail("flash is read faster than it can be")

    def _has_48_mhz(self) -> bool:
        source = self.registers.get(_CCIPR, 0) >> 26 & 3
        if self.HAS_MSI and source == 3:
            return bool(self.registers[_CR] & 1) and self._msi_hz() == 48e6
        return source == 0 and self.has_hsi48() and bool(self.registers.get(_CRRCR, 0) & 1)

    def has_hsi48(self) -> bool:
        """Whether the chip has that oscillator."""
        return True

    # USART2

    def _baud(self) -> float:
        divider = self.registers.get(_BRR, 0)
        return self.core_hz() / divider if divider else 0.0

    def _line_works(self) -> bool:
        if not self.registers.get(_APB1ENR, 0) & _USART_CLOCK or not self.registers.get(_AHB2ENR, 0) & 1:
            return False
        for pin, function in self.UART_PINS:
            mode = self.registers.get(_GPIO_A, 0xABFFFFFF) >> 2 * pin & 3
            chosen = self.registers.get(_GPIO_A + 0x20 + 4 * (pin // 8), 0) >> 4 * (pin % 8) & 15
            if (mode, chosen) != (2, function):
                return False
        return self.registers.get(_CR1, 0) & 0xD == 0xD and self.is_rate_of_host(self._baud())

    def raised(self) -> Sequence[int]:
        """USART2: a byte is there, or it is to say when the transmitter is empty, as it always is."""
        control = self.registers.get(_CR1, 0)
        wanted = (control & 1 << 5 and self.incoming and self._line_works()) or control & 1 << 7
        return [_USART_INTERRUPT] if wanted else []

    # Registers

    def read(self, address: int) -> int:
        """What the blocks that the port uses say; any other register is as it was written."""
        self._settle()
        if address == _CR:
            cr = self.registers[_CR]
            # What is on is ready: MSI, HSI16, PLL.
            return cr | (cr & 1) << 1 | (cr >> 8 & 1) << 10 | (cr >> 24 & 1) << 25
        if address == _CRRCR:
            on = self.registers.get(_CRRCR, 0) & 1
            return on | (2 if on and self.has_hsi48() else 0)
        if address == _ISR:
            return 0xC0 | (1 << 5 if self.incoming and self._line_works() else 0)
        if address == _RDR:
            return self.incoming.pop(0) if self.incoming else 0
        if address == _RNG + 4:
            return self._rng_status()
        if address == _RNG + 8:
            return self.generator.word() if self._rng_status() & _DRDY else 0
        if address == _FLASH_SR:
            return self._status
        return self.registers.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """As the blocks take it."""
        self._settle()
        if address == _CR:
            self.registers[_CR] = value & ~(1 << 1 | 1 << 10 | 1 << 25)
        elif address == _CFGR:
            self._switch(value)
        elif address == _TDR:
            if self._line_works():
                self.transmit(value, self._baud())
        elif address == _RNG + 4:
            self._raised_error = 0
        elif address == _KEYR:
            self._keys.append(value)
            if self._keys[-2:] == _KEYS:
                self._locked = False
        elif address == _FLASH_SR:
            self._status &= ~value
        elif address == _FLASH_CR:
            self._control_flash(value)
        else:
            self.registers[address] = value

    # RNG

    def _rng_status(self) -> int:
        if not self.registers.get(_AHB2ENR, 0) >> self.RNG_CLOCK_BIT & 1 or not self.registers.get(_RNG, 0) & _RNG_ON:
            return 0
        if not self._has_48_mhz():
            return _CECS
        if self.generator.reports_error:
            self._raised_error = _SECS | _SEIS
        return self._raised_error | (_DRDY if self.generator.is_running else 0)

    # Flash

    def add_hooks(self, core: Any) -> None:
        """Stores to flash go through the flash interface."""
        end = FLASH_BASE + len(self.flash) - 1
        core.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._store, None, FLASH_BASE, end)

    def _store(self, core: Any, access: int, address: int, size: int, value: int, data: object) -> None:
        """Called before the store. Two words make a double word, and its effect is seen at the next register."""
        if self._writing is not None and address == self._writing[0] + 4:
            return
        self._settle()
        begin = address & ~7
        self._writing = (begin, bytes(self.flash[begin - FLASH_BASE : begin - FLASH_BASE + 8]))

    def _settle(self) -> None:
        if self._writing is None:
            return
        begin, old = self._writing
        self._writing = None
        at = begin - FLASH_BASE
        new = self.flash[at : at + 8]
        if self._locked or not self.registers[_FLASH_CR] & _PROGRAM:
            self.flash[at : at + 8] = old
            self._status |= _SEQUENCE_ERROR
        elif old != b"\xff" * 8 and new != b"\0" * 8:
            self.flash[at : at + 8] = old
            self._status |= _PROGRAM_ERROR
        else:
            self._status |= 1

    def _control_flash(self, value: int) -> None:
        if value & _LOCK:
            self._locked, self._keys = True, []
            self.registers[_FLASH_CR] = _LOCK
            return
        if self._locked:
            return
        self.registers[_FLASH_CR] = value & ~_START
        if value & _START and value & _ERASE:
            pages = len(self.flash) // _PAGE // self.BANKS
            page = (value >> 3 & 0xFF) + (pages if value & _BANK_2 else 0)
            self.flash[page * _PAGE : (page + 1) * _PAGE] = b"\xff" * _PAGE
            self._status |= 1


class Stm32l476(Stm32l4):
    """Of the NUCLEO-L476RG."""

    BANKS, RNG_CLOCK_BIT, CR_AT_RESET, CFGR_AT_RESET = 2, 18, 0x63, 0
    HAS_MSI, FASTEST_HZ, UART_PINS = True, 80e6, ((2, 7), (3, 7))

    def has_hsi48(self) -> bool:
        """It has none."""
        return False


class Stm32l432(Stm32l4):
    """Of the NUCLEO-L432KC."""

    RAM = ((0x20000000, 64 << 10),)
    BANKS, RNG_CLOCK_BIT, CR_AT_RESET, CFGR_AT_RESET = 1, 18, 0x63, 0
    HAS_MSI, FASTEST_HZ, UART_PINS = True, 80e6, ((2, 7), (15, 3))


class Stm32g474(Stm32l4):
    """Of the NUCLEO-G474RE."""

    RAM = ((0x20000000, 128 << 10),)
    BANKS, RNG_CLOCK_BIT, CR_AT_RESET, CFGR_AT_RESET = 2, 26, 0x500, 0x5
    HAS_MSI, FASTEST_HZ, UART_PINS = False, 170e6, ((2, 7), (3, 7))
