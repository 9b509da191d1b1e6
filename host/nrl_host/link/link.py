"""The reliable link to a device: requests and replies over any port that pyserial can open (docs/protocol.md).

A request is sent again until its reply comes. The device answers a repeated request from memory, so a lost byte never
makes the agent take a step twice.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import Any

import serial

from nrl_edge.errors import DeviceError
from nrl_host.link.faults import LONGEST_DELAY_FRAMES, FaultyLine
from nrl_host.link.frames import HEADER_BYTES, SMALLEST_FRAME, FrameDecoder, LinkCounters, encode_frame
from nrl_host.link.messages import (
    ERROR_CODES,
    ERROR_NAMES,
    ERROR_TEXTS,
    MESSAGE_NAMES,
    MESSAGES,
    TABLE,
    Codec,
    MessageCodec,
)
from nrl_host.link.round_trip import RoundTripTime
from nrl_host.link.serial_port import DEFAULT_BAUD, close_port, open_port

KEPT_TELEMETRY = 4096
_SMALLEST_CODED = SMALLEST_FRAME + 2
_DELIMITER = b"\0"
_ERROR_ID = TABLE.by_name["ERROR"].id
_TELEMETRY_ID = TABLE.by_name["TELEMETRY"].id
_ERROR_CODED = SMALLEST_FRAME + 2 + TABLE.by_name["ERROR"].payload_bytes(0)
_TAG_BYTES = 16
_RECONNECT_INTERVAL_SECONDS = 0.1
_FAULTY_ATTEMPTS = 60
_FAULTY_OPEN_SECONDS = 30.0


class RequestRefusedError(DeviceError):
    """The device answered a request with ERROR. `code_name` is the error's name in the message table."""

    def __init__(self, message: str, code_name: str, detail: int) -> None:
        super().__init__(message)
        self.code_name = code_name
        self.detail = detail


class SessionLostError(DeviceError):
    """The device restarted since the link was opened: what its agent had learned since the last snapshot is gone.

    `Link.greet` begins the new session.
    """


class Link:
    """A link to one device, open from construction until `close`.

    `url` is anything pyserial opens: `/dev/ttyACM0`, `COM3`, `socket://127.0.0.1:4000`, `rfc2217://...`. `timeout` is
    the time in seconds after which a request is sent again, `attempts` how often it is sent in all; `open_timeout` is
    how long, in seconds, a device may take to answer at first: boards that restart when their port is opened need some.
    Over `faulty://RATES@PORT`, a line that is bad on purpose (`faults`), requests are repeated often, and as soon as a
    reply is later than replies are (`round_trip`). `reset_on_open=False` keeps DTR and RTS inactive, which most boards
    need to run on undisturbed. A port that vanishes is opened again for `reconnect_timeout` seconds,
    at the url that `locate` gives then: an adapter may come back under another name. `key` is that of a device that
    asks for one (docs/security.md).

    `hello` is the device's HELLO_REPLY, `session` the session of its boot. Raises DeviceError, with the likely
    cause, whenever no conversation is possible.
    """

    def __init__(
        self,
        url: str,
        *,
        baud: int = DEFAULT_BAUD,
        timeout: float = 0.5,
        attempts: int = 6,
        open_timeout: float = 4.0,
        reset_on_open: bool = True,
        on_telemetry: Callable[[Any], None] | None = None,
        reconnect_timeout: float = 0.0,
        locate: Callable[[], str] | None = None,
        key: bytes | None = None,
    ) -> None:
        self.url = url
        self._key = key
        self._nonce = b""
        self._authorized = 0
        self.reconnections = 0
        """How often the port vanished and came back."""
        self.counters = LinkCounters()
        self.telemetry: deque[Any] = deque(maxlen=KEPT_TELEMETRY)
        """The latest TELEMETRY messages, oldest first."""
        self.telemetry_before_reply = 0
        """How many TELEMETRY messages came before the latest reply: what they tell is older than what it answers."""
        self.on_telemetry = on_telemetry
        self._baud = baud
        self._timeout = timeout
        self._attempts = attempts
        self._open_timeout = open_timeout
        self._reset_on_open = reset_on_open
        self._reconnect_timeout = reconnect_timeout
        self._locate = locate
        self._decoder = FrameDecoder(self.counters)
        self._codec = Codec(0)
        self._coded_bytes = self._codec.coded_bytes
        self._sequence = 0
        self.session = 0
        self._greetings = 0
        """HELLOs that the session took to begin."""
        self._port = open_port(url, baud=baud, timeout=timeout, reset_on_open=reset_on_open)
        self.faulty_line: FaultyLine | None = None
        """What stands in front of the port where `url` is faulty://; None on a line as it is."""
        self._round_trip: RoundTripTime | None = None
        if isinstance(self._port, FaultyLine):
            self.faulty_line = self._port
            self._round_trip = RoundTripTime(timeout)
            self._attempts, self._open_timeout = _FAULTY_ATTEMPTS, max(open_timeout, _FAULTY_OPEN_SECONDS)
        try:
            self.greet()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Link:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the port. Closing twice is fine."""
        close_port(self._port)

    def greet(self) -> None:
        """Begin a session: sets `hello` and `session`. Raises DeviceError where no conversation is possible."""
        self._greetings = 0
        self._begin_session()
        if self.faulty_line is not None and self._greetings > 1:
            while not self._outlasts_late_greetings():
                self._begin_session()

    def _begin_session(self) -> None:
        while True:
            try:
                self.hello = self._greet(self._open_timeout)
                break
            except (serial.SerialException, OSError) as error:
                if self.session != 0:
                    self._reopen(error)
                    continue
                raise DeviceError(
                    f"{self.url}: the port closed before the device answered: {error}. "
                    "Whatever is there is no device with nrl_edge firmware; "
                    "`nrl-edge ports` lists the ports that are there"
                ) from None
        self._codec = Codec(self.hello.layer_sizes[0], self.hello.outputs)
        self._coded_bytes = self._codec.coded_bytes
        self._nonce = b""

    def _outlasts_late_greetings(self) -> bool:
        """Send requests that change nothing until no HELLO can be on its way any more; False: one has come.

        A HELLO that comes late starts the sequence anew, and the request after it would be out of order. That it then
        was not executed cannot be known, so such a HELLO is waited for as long as nothing depends on the answer. Only a
        line with faults on purpose overtakes itself.
        """
        try:
            for _ in range(LONGEST_DELAY_FRAMES + 1):
                self.request(MESSAGES["LINK_STATUS"]())
        except SessionLostError:
            return False
        except RequestRefusedError as error:
            if error.code_name != "OUT_OF_ORDER":
                raise
            return False
        return True

    # Requests

    def request(self, message: Any, data_bytes: int = 0) -> Any:
        """Send a request (an object of a class in `MESSAGES`) and return its reply, whatever it takes.

        `data_bytes` is how many bytes of data the reply will end in. Raises RequestRefusedError where the device
        refuses the request, SessionLostError where it has restarted, DeviceError where it does not answer, ValueError
        where a value does not fit the message.
        """
        codec = self._codec.of(message)
        reply_codec = self._codec.by_name[codec.message.reply]
        if codec.message.protected and self.hello.asks_for_key:
            self._authorize(codec.pack(0, 0, message))
        content = codec.pack(self._next_sequence(), self.session, message)
        reply = self._exchange(content, reply_codec.id, reply_codec.coded_bytes + data_bytes)
        try:
            return reply_codec.unpack(reply)
        except ValueError as error:
            raise self._unreadable(reply_codec, error) from None

    def _authorize(self, content: bytes) -> None:
        """Show the device that the request with this content, to be sent next, comes from a host that has its key."""
        if self._key is None:
            raise DeviceError(
                f"{self.url}: the device takes {MESSAGE_NAMES[content[0]]} only from a host that has its key; name the "
                "key's file as key_file under [link] in the experiment, or with --key-file"
            )
        if not self._nonce:
            challenge = self.request(MESSAGES["CHALLENGE"]())
            # Another conversation of the same session may have used some numbers up.
            self._nonce, self._authorized = challenge.nonce, challenge.counter
        self._authorized += 1
        signed = self._nonce + self._authorized.to_bytes(4, "little") + content[:1] + content[HEADER_BYTES:]
        tag = hashlib.blake2s(signed, digest_size=_TAG_BYTES, key=self._key).digest()
        self.request(MESSAGES["AUTHORIZE"](self._authorized, tag))

    def codec_of(self, name: str) -> MessageCodec:
        """The codec of a message for this device's network."""
        return self._codec.by_name[name]

    def _next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) & 0xFF
        return self._sequence

    def request_flat(self, codec: MessageCodec, reply_codec: MessageCodec, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """As `request`, for messages without byte fields, as plain values: the fast path of a step.

        Returns header and payload values of the reply. Raises what `request` raises, and struct.error for a value that
        does not fit.
        """
        content = codec.pack_flat(codec.id, self._next_sequence(), self.session, *values)
        reply = self._exchange(content, reply_codec.id, reply_codec.coded_bytes)
        try:
            return reply_codec.unpack_flat(reply)
        except ValueError as error:
            raise self._unreadable(reply_codec, error) from None

    def _unreadable(self, codec: MessageCodec, error: ValueError) -> DeviceError:
        return DeviceError(
            f"{self.url}: the device's {codec.name} cannot be read: {error}. Whatever is there does not run the "
            "firmware that it says; generate, build and flash it again"
        )

    def _exchange(self, content: bytes, reply_id: int, reply_coded_bytes: int) -> bytes:
        """Send header and payload until the reply comes; returns the reply's header and payload.

        A port that failed is opened again, and the very same frame sent again: the device either has not seen it, or
        answers it from memory, or has restarted and says so.
        """
        frame = encode_frame(content)
        while True:
            try:
                return self._send_until_answered(content, frame, reply_id, reply_coded_bytes)
            except (serial.SerialException, OSError) as error:
                self._reopen(error)

    def _send_until_answered(self, content: bytes, frame: bytes, reply_id: int, reply_coded_bytes: int) -> bytes:
        for attempt in range(self._attempts):
            if attempt:
                self.counters.retries += 1
                self._decoder.drop_half_frame()
                # The delimiter ends whatever the device may have half received.
                self._port.write(_DELIMITER + frame)
            else:
                self._port.write(frame)
            self.counters.frames_out += 1
            if self._round_trip is None:
                reply = self._await(content, reply_id, reply_coded_bytes, self._timeout)
            else:
                reply = self._await_timed(content, reply_id, reply_coded_bytes, attempt, self._round_trip)
            if reply is not None:
                return reply
        raise DeviceError(
            f"{self.url}: no reply to {MESSAGE_NAMES.get(content[0], content[0])} after {self._attempts} attempts of "
            f"{self._timeout:g} s. The device has hung or the line is broken; reset the device and run `nrl-edge ports`"
        )

    def _reopen(self, error: Exception) -> None:
        """Open the port again, wherever it is now. Raises DeviceError when the time for it is over."""
        close_port(self._port)
        deadline = time.monotonic() + self._reconnect_timeout
        while True:
            if time.monotonic() >= deadline:
                raise DeviceError(
                    f"{self.url}: the port failed: {error}. Was the device unplugged, or did its program end? "
                    "`nrl-edge ports` lists the ports that are there"
                ) from None
            try:
                self.url = self.url if self._locate is None else self._locate()
                port = open_port(self.url, baud=self._baud, timeout=self._timeout, reset_on_open=self._reset_on_open)
                break
            except DeviceError:
                time.sleep(_RECONNECT_INTERVAL_SECONDS)
        self.reconnections += 1
        self._decoder.drop_half_frame()
        self._port = port
        if self.faulty_line is not None and isinstance(port, FaultyLine):
            port.go_on_from(self.faulty_line)
            self.faulty_line = port

    def _await_timed(
        self, content: bytes, reply_id: int, reply_coded_bytes: int, attempt: int, round_trip: RoundTripTime
    ) -> bytes | None:
        """As `_await`, for as long as replies usually take; learns from this one how long that is."""
        patience = self._port.timeout = round_trip.patience(attempt)
        sent = time.perf_counter()
        reply = self._await(content, reply_id, reply_coded_bytes, patience)
        # A reply to a repeated request may be that to the request before.
        if reply is not None and attempt == 0:
            round_trip.observe(time.perf_counter() - sent)
        return reply

    def _await(self, request: bytes, reply_id: int, reply_coded_bytes: int, patience: float) -> bytes | None:
        """Read until the reply to `request` is there, or None when the time of one attempt is over."""
        sequence = request[1]
        reply = None
        wanted = self._bytes_to_come(reply_id, reply_coded_bytes)
        deadline = time.monotonic() + patience
        while True:
            for content in self._decoder.feed(self._port.read(wanted)):
                kind = content[0]
                if content[1] == sequence and kind == reply_id and reply is None:
                    reply = content
                    self.telemetry_before_reply = self.counters.telemetry
                elif content[1] == sequence and kind == _ERROR_ID:
                    self._raise_refusal(content)
                else:
                    self._take_unrequested(content)
            if reply is not None:
                return reply
            if time.monotonic() >= deadline:
                return None
            wanted = self._bytes_to_come(reply_id, reply_coded_bytes)

    def _bytes_to_come(self, reply_id: int, reply_coded_bytes: int) -> int:
        """How many bytes are sure to come before the reply is complete, so that one read can wait for all of them."""
        half = self._decoder.half_frame
        if not half:
            # The reply, or an ERROR in its place.
            return reply_coded_bytes if reply_coded_bytes < _ERROR_CODED else _ERROR_CODED
        if len(half) == 1:
            return _SMALLEST_CODED - 1
        kind = half[1]
        if kind == reply_id:
            return max(1, reply_coded_bytes - len(half))
        length = self._coded_bytes.get(kind, 0)
        if kind == _ERROR_ID or length <= len(half):
            return max(1, length - len(half))
        return length - len(half) + _SMALLEST_CODED

    def _take_unrequested(self, content: bytes) -> None:
        if content[0] != _TELEMETRY_ID:
            self.counters.unexpected += 1
            return
        try:
            message = self._codec.by_name["TELEMETRY"].unpack(content)
        except ValueError:
            self.counters.unexpected += 1
            return
        self.counters.telemetry += 1
        self.telemetry.append(message)
        if self.on_telemetry is not None:
            self.on_telemetry(message)

    def _raise_refusal(self, content: bytes) -> None:
        codec = self._codec.by_name["ERROR"]
        try:
            error = codec.unpack(content)
        except ValueError as reason:
            raise self._unreadable(codec, reason) from None
        request = MESSAGE_NAMES.get(error.request, f"{error.request:#04x}")
        text = ERROR_TEXTS.get(error.code, "unknown error code {code}, detail {detail}").format(
            request=request, detail=error.detail, code=error.code
        )
        if error.code == ERROR_CODES["STALE_SESSION"]:
            raise SessionLostError(
                f"{self.url}: {text}; it lost power or was reset. What it learned since its last snapshot is gone: "
                "open the link again and restore a snapshot, or start the run anew"
            )
        raise RequestRefusedError(
            f"{self.url}: the device refused {request}: {text}", ERROR_NAMES.get(error.code, "UNKNOWN"), error.detail
        )

    def listen(self, seconds: float) -> None:
        """Take what comes without being asked for (TELEMETRY), waiting for it for so long at most."""
        deadline = time.monotonic() + seconds
        before = self.counters.telemetry
        usual = self._port.timeout
        try:
            while self.counters.telemetry == before and (left := deadline - time.monotonic()) > 0.0:
                if left < usual:
                    self._port.timeout = left
                wanted = self._bytes_to_come(_TELEMETRY_ID, self._coded_bytes[_TELEMETRY_ID])
                for content in self._decoder.feed(self._port.read(wanted)):
                    self._take_unrequested(content)
        except (serial.SerialException, OSError) as error:
            raise DeviceError(f"{self.url}: the port failed: {error}. Was the device unplugged?") from None
        finally:
            if self._port.timeout != usual:
                self._port.timeout = usual

    def poll(self) -> None:
        """Take what has come without being asked for (TELEMETRY), without waiting."""
        try:
            while waiting := self._port.in_waiting:
                # A socket only says that something waits, not how much: ask for a whole frame then.
                wanted = self._bytes_to_come(_TELEMETRY_ID, self._coded_bytes[_TELEMETRY_ID])
                for content in self._decoder.feed(self._port.read(max(waiting, wanted) if waiting == 1 else waiting)):
                    self._take_unrequested(content)
        except (serial.SerialException, OSError) as error:
            raise DeviceError(f"{self.url}: the port failed: {error}") from None

    # Opening

    def _greet(self, open_timeout: float) -> Any:
        codec = self._codec.by_name["HELLO"]
        reply_codec = self._codec.by_name["HELLO_REPLY"]
        hello = MESSAGES["HELLO"](TABLE.protocol_min, TABLE.protocol_max, TABLE.table_hash)
        # What the session before left half received is no part of this one.
        self._decoder.drop_half_frame()
        deadline = time.monotonic() + open_timeout
        received = 0
        for attempt in count():
            self._greetings += 1
            content = codec.pack(self._next_sequence(), 0, hello)
            self._port.write(_DELIMITER + encode_frame(content))
            self.counters.frames_out += 1
            patience = self._timeout
            if self._round_trip is not None:
                patience = self._port.timeout = self._round_trip.patience(attempt)
            attempt_end = min(deadline, time.monotonic() + patience)
            while True:
                chunk = self._port.read(self._bytes_to_come(reply_codec.id, reply_codec.coded_bytes))
                received += len(chunk)
                for reply in self._decoder.feed(chunk):
                    if reply[0] == reply_codec.id and reply[1] == content[1]:
                        return self._check_hello(reply_codec, reply)
                    if reply[0] == _ERROR_ID and reply[1] == content[1]:
                        self._raise_refusal(reply)
                    self._take_unrequested(reply)
                if time.monotonic() >= attempt_end:
                    break
            if time.monotonic() >= deadline:
                break
            self.counters.retries += 1
            self._decoder.drop_half_frame()
        if received:
            raise DeviceError(
                f"{self.url}: {received} bytes came in {open_timeout:g} s but no valid frame. Either this is no device "
                f"with nrl_edge firmware, or its baud rate is not {self._baud}; `nrl-edge ports` lists the ports "
                "that are there, `nrl-edge generate` writes firmware for a device"
            )
        raise DeviceError(
            f"{self.url}: nothing answered within {open_timeout:g} s. Is it the right port, is the device powered and "
            f"flashed, and is {self._baud} its baud rate? `nrl-edge ports` lists the ports that are there, "
            "`nrl-edge generate` writes firmware for a device"
        )

    def _check_hello(self, codec: MessageCodec, reply: bytes) -> Any:
        # The first three fields are the same in every version: only they may be read before the hashes agree.
        if len(reply) < 10:
            raise DeviceError(
                f"{self.url}: the device's HELLO_REPLY is cut short; its firmware is no nrl_edge firmware"
            )
        table_hash = int.from_bytes(reply[6:10], "little")
        if table_hash != TABLE.table_hash:
            raise DeviceError(
                f"{self.url}: the device speaks protocol {reply[4]} to {reply[5]} with message table "
                f"{table_hash:#010x}, this host {TABLE.protocol_min} to {TABLE.protocol_max} with "
                f"{TABLE.table_hash:#010x}: its firmware was generated by another version. "
                "Generate, build and flash it again: `nrl-edge generate`, then `nrl-edge build`"
            )
        try:
            hello = codec.unpack(reply)
        except ValueError as error:
            raise self._unreadable(codec, error) from None
        self.session = int.from_bytes(reply[2:4], "little")
        return hello
