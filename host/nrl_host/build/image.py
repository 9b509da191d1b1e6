"""Sizes of a compiled program or image, as `size` of binutils counts them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile


@dataclass(frozen=True)
class ImageSizes:
    """Bytes of an image."""

    text_bytes: int
    """Code and constants."""
    data_bytes: int
    """Variables with initial values: they take flash and RAM."""
    bss_bytes: int
    """Variables that start at zero: they take RAM."""


def image_sizes(path: Path) -> ImageSizes | None:
    """Sizes of an ELF file; None where it is no ELF file, as a program of macOS or Windows is not."""
    text = data = bss = 0
    try:
        with path.open("rb") as file:
            for section in ELFFile(file).iter_sections():
                flags, size = section["sh_flags"], section["sh_size"]
                if not flags & SH_FLAGS.SHF_ALLOC:
                    continue
                if section["sh_type"] == "SHT_NOBITS":
                    bss += size
                elif flags & SH_FLAGS.SHF_WRITE:
                    data += size
                else:
                    text += size
    except ELFError:
        return None
    return ImageSizes(text, data, bss)
