"""faulty://RATES@PORT: any port of pyserial's with a bad line in front of it (nrl_host.link.faults).

faulty://drop=0.1,flip=0.05,seed=7@/dev/ttyACM0
faulty://delay=0.2@socket://127.0.0.1:4000
"""

from __future__ import annotations

from typing import Any

import serial

from nrl_host.link.faults import FaultyLine, split_faulty_url


class Serial(FaultyLine):
    """A port as pyserial's `serial_for_url` makes one: closed at first, with its URL as `port`.

    Assigning `port` raises ConfigurationError where the URL cannot be read.
    """

    def __init__(self, port: str | None = None, **options: Any) -> None:
        self._options = options
        if port is not None:
            self.port = port
            self._port.open()

    @property
    def port(self) -> str:
        """The whole URL."""
        return self._url

    @port.setter
    def port(self, url: str) -> None:
        faults, behind = split_faulty_url(url)
        self._url = url
        super().__init__(serial.serial_for_url(behind, do_not_open=True, **self._options), faults)

    def _set_line(self, name: str, active: bool) -> None:
        setattr(self._port, name, active)

    # Before the port is open they say what it starts with, so they have to get through.
    dtr = property(lambda self: self._port.dtr, lambda self, active: self._set_line("dtr", active))
    rts = property(lambda self: self._port.rts, lambda self, active: self._set_line("rts", active))
