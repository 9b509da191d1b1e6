"""UF2 files: an image as a boot loader takes it that shows itself as a USB drive (Microsoft's UF2 specification)."""

from __future__ import annotations

import struct
from pathlib import Path

from elftools.elf.elffile import ELFFile

from nrl_edge.errors import RunError
from nrl_edge.runs.files import write_atomically

PAYLOAD_BYTES = 256
_BLOCK = struct.Struct("<8I476sI")
_MAGIC_START, _MAGIC_SECOND, _MAGIC_END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_FAMILY_PRESENT = 0x2000


def uf2_of(image: Path, family_id: int) -> bytes:
    """The UF2 file of an ELF image: what goes to flash, in blocks of 256 bytes at addresses that are multiples of them.

    Raises RunError where the image is no ELF file or has nothing in it.
    """
    pages: dict[int, bytearray] = {}
    try:
        with image.open("rb") as file:
            for segment in ELFFile(file).iter_segments("PT_LOAD"):
                for at, byte in enumerate(segment.data(), segment["p_paddr"]):
                    pages.setdefault(at - at % PAYLOAD_BYTES, bytearray(PAYLOAD_BYTES))[at % PAYLOAD_BYTES] = byte
    except Exception as error:  # pyelftools raises errors of its own, and others besides
        raise RunError(f"{image} is no ELF file ({error}); build it again") from error
    if not pages:
        raise RunError(f"{image} holds nothing to flash; build it again")
    return b"".join(
        _BLOCK.pack(
            *(_MAGIC_START, _MAGIC_SECOND, _FAMILY_PRESENT, address, PAYLOAD_BYTES, number, len(pages), family_id),
            bytes(pages[address]),
            _MAGIC_END,
        )
        for number, address in enumerate(sorted(pages))
    )


def write_uf2(image: Path, family_id: int) -> Path:
    """Write the UF2 file of an image beside it; returns its path. Raises RunError."""
    path = image.with_suffix(".uf2")
    write_atomically(path, uf2_of(image, family_id))
    return path
