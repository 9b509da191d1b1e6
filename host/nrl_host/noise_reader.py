"""Reads the raw noise that a device's agent draws, in order, so that the run can be repeated."""

from __future__ import annotations

from nrl_edge.errors import DeviceError
from nrl_host.link import Link, RequestRefusedError
from nrl_host.link.messages import MESSAGES


class NoiseReader:
    """The noise of an agent from its BEGIN on, as the device's log still holds it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.position = 0
        """Bytes that were read since BEGIN, modulo 2^32: number of the next one."""
        self.is_complete = True
        """False once some of the noise was overwritten before it could be read: nothing is read from then on."""

    def restart(self) -> None:
        """A new agent has begun: its noise is numbered from 0."""
        self.position = 0
        self.is_complete = True

    def read(self) -> bytes:
        """The next bytes, as many as fit a frame; none where all that was drawn is read, or some is lost.

        Raises DeviceError where the device answers with other bytes than those that were asked for.
        """
        if not self.is_complete:
            return b""
        try:
            reply = self._link.request(MESSAGES["NOISE_READ"](self.position))
        except RequestRefusedError as error:
            if error.code_name != "NOISE_LOST":
                raise
            self.is_complete = False
            return b""
        if reply.position != self.position:
            raise DeviceError(
                f"{self._link.url}: asked for the noise from byte {self.position}, got {len(reply.data)} bytes at "
                f"{reply.position}. Whatever is there does not run firmware of this project"
            )
        self.position = (self.position + len(reply.data)) & 0xFFFFFFFF
        data: bytes = reply.data
        return data

    def lacks(self, drawn: int) -> bool:
        """Whether there is more to be read of the first `drawn` bytes, a count modulo 2^32 as STATUS_REPLY has it."""
        return self.is_complete and 0 < (drawn - self.position) & 0xFFFFFFFF < 1 << 31
