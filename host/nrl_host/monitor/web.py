"""The monitor's page: served on the loopback interface alone, kept up to date by server-sent events.

Python's own server is enough for a few browsers of one person on one machine, and costs no dependency. It answers
requests that name it by a loopback name only, so that no page of another host can be pointed at it. It takes commands
from its own page only, with the token of the address that was printed: other users of the machine can look, not touch.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from nrl_edge.errors import ConfigurationError, NrlError
from nrl_host.monitor.state import MonitorState, Source, View

LOOPBACK = "127.0.0.1"
READ_SECONDS = 0.5
"""How often the source is looked at, and how often a page is told, at most."""
HEARTBEAT_SECONDS = 10.0
"""After so long without anything new a page is told that the monitor is still there."""
MOST_PAGES = 16
_LARGEST_COMMAND = 1024
_COMMANDS = ("pause", "resume", "snapshot")
_STATIC = {
    "/": ("index.html", "text/html"),
    "/monitor.css": ("monitor.css", "text/css"),
    "/monitor.js": ("monitor.js", "text/javascript"),
    "/uplot/uPlot.iife.min.js": ("uplot/uPlot.iife.min.js", "text/javascript"),
    "/uplot/uPlot.min.css": ("uplot/uPlot.min.css", "text/css"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Board:
    """The newest text of each kind of event, for any number of pages: a slow page skips what it missed."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._texts: dict[str, tuple[int, str]] = {}
        self._number = 0
        self.closed = False

    def post(self, kind: str, value: object) -> None:
        text = json.dumps(value, separators=(",", ":"))
        with self._condition:
            if kind in self._texts and self._texts[kind][1] == text:
                return
            self._number += 1
            self._texts[kind] = (self._number, text)
            self._condition.notify_all()

    def close(self) -> None:
        with self._condition:
            self.closed = True
            self._condition.notify_all()

    def after(self, number: int, timeout: float) -> tuple[int, list[tuple[str, str]]]:
        """What was posted after `number`, oldest first, and the number to ask with next; waits for something."""
        with self._condition:
            self._condition.wait_for(lambda: self.closed or self._number > number, timeout)
            news = sorted((when, kind, text) for kind, (when, text) in self._texts.items() if when > number)
            return self._number, [(kind, text) for _, kind, text in news]


class MonitorServer:
    """Serves the page of one source. A context manager: serving inside, closed outside.

    `port` 0 takes any that is free. Raises ConfigurationError where the port is taken.
    """

    def __init__(
        self, source: Source, *, port: int = 0, on_state: Callable[[MonitorState], None] | None = None
    ) -> None:
        self._source = source
        self._on_state = on_state
        self._lock = threading.Lock()
        self._board = _Board()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self.token = secrets.token_urlsafe(16)
        """What a page has to show to ask something of the run."""
        self.error: Exception | None = None
        """Why the source cannot be read any more; what is no NrlError is a fault of this program."""
        self._pages = threading.BoundedSemaphore(MOST_PAGES)
        try:
            self._server = _Server((LOOPBACK, port), _Handler)
        except OSError as error:
            raise ConfigurationError(
                f"cannot serve at {LOOPBACK}:{port}: {error.strerror or error}. Another program may have the port; "
                "name another with --http-port, or leave it out to take a free one"
            ) from error
        self._server.monitor = self
        self._threads = (
            threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True),
            threading.Thread(target=self._follow, daemon=True),
        )

    @property
    def port(self) -> int:
        """The port that is served."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address to open: the token behind # never leaves the browser by itself."""
        return f"http://{LOOPBACK}:{self.port}/#{self.token}"

    def __enter__(self) -> MonitorServer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._wake.set()
        self._board.close()
        self._server.shutdown()
        self._server.server_close()
        self._threads[1].join()

    def _follow(self) -> None:
        """Read the source again and again, and post what is new of it."""
        shown: View | None = None
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                with self._lock:
                    view = self._source.read()
            except Exception as error:  # a thread that ends in silence would leave pages that never change again
                self.error = error
                self._board.post("failure", {"message": str(error)})
                return
            self._board.post("state", view.state.as_dict())
            if shown is None or view.curves_number != shown.curves_number:
                self._board.post("curves", view.curves)
            if view.network is not None and (shown is None or view.network_number != shown.network_number):
                self._board.post("network", view.network)
            shown = view
            if self._on_state is not None:
                self._on_state(view.state)
            self._wake.wait(READ_SECONDS)

    def command(self, name: str) -> str:
        """Ask something of the run; returns what to tell the person. Raises NrlError."""
        with self._lock:
            told = self._source.command(name)  # type: ignore[arg-type]
        self._wake.set()
        return told


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Waiting for pages that are open would wait for ever.
    block_on_close = False
    monitor: MonitorServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle of an answer is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "nrl-edge", ""
    timeout = 30.0

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is logged: the terminal shows the run."""

    def do_GET(self) -> None:
        if not self._is_for_us():
            return
        path = urlsplit(self.path).path
        if path in _STATIC:
            name, kind = _STATIC[path]
            data = files("nrl_host.monitor").joinpath("static", *name.split("/")).read_bytes()
            self._answer(HTTPStatus.OK, data, f"{kind}; charset=utf-8")
        elif path == "/events":
            self._events()
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        if not self._is_for_us():
            return
        monitor = self.server.monitor
        origin = self.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc not in self._names():
            self._refuse(HTTPStatus.FORBIDDEN, "commands are taken from the monitor's own page only")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > _LARGEST_COMMAND:
            self._refuse(HTTPStatus.BAD_REQUEST, "a command is a small JSON object")
            return
        data = self.rfile.read(int(length))
        if not hmac.compare_digest(self.headers.get("X-Monitor-Token", "").encode(), monitor.token.encode()):
            self._refuse(
                HTTPStatus.FORBIDDEN, "open the page at the address that nrl-edge monitor printed: it holds a token"
            )
            return
        try:
            command = json.loads(data)["command"]
        except (ValueError, TypeError, KeyError, RecursionError):
            command = None
        if urlsplit(self.path).path != "/command" or command not in _COMMANDS:
            self._refuse(HTTPStatus.BAD_REQUEST, f"the commands are {', '.join(_COMMANDS)}")
            return
        try:
            told = monitor.command(command)
        except NrlError as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
            return
        self._answer(HTTPStatus.OK, json.dumps({"message": told}).encode(), "application/json")

    def _names(self) -> tuple[str, ...]:
        port = self.server.monitor.port
        return tuple(f"{name}:{port}" for name in (LOOPBACK, "localhost"))

    def _is_for_us(self) -> bool:
        """A page of another host whose name was made to lead here would send that name."""
        if self.headers.get("Host") in self._names():
            return True
        self._refuse(HTTPStatus.MISDIRECTED_REQUEST, f"this monitor is at {' and '.join(self._names())} only")
        return False

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self.close_connection = True
        self._answer(status, json.dumps({"message": message}).encode(), "application/json")

    def _answer(self, status: HTTPStatus, data: bytes, kind: str) -> None:
        self._start(status, kind, len(data))
        self.wfile.write(data)

    def _start(self, status: HTTPStatus, kind: str, length: int | None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()

    def _events(self) -> None:
        monitor = self.server.monitor
        if not monitor._pages.acquire(blocking=False):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_PAGES} pages are open already; close one")
            return
        try:
            self._start(HTTPStatus.OK, "text/event-stream; charset=utf-8", None)
            number = 0
            while not monitor._board.closed:
                number, news = monitor._board.after(number, HEARTBEAT_SECONDS)
                text = "".join(f"event: {kind}\ndata: {data}\n\n" for kind, data in news)
                self.wfile.write((text or "event: beat\ndata: 0\n\n").encode())
                self.wfile.flush()
                # The source is read only so often, but a command wakes it up.
                monitor._stopping.wait(READ_SECONDS / 2)
        except OSError:
            return  # the page was closed
        finally:
            monitor._pages.release()
