"""The monitor's server: only for this machine's own page, and commands only with the token. No browser here."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nrl_edge.errors import ConfigurationError, DeviceError, RunError
from nrl_host.monitor import MonitorServer, MonitorState, View
from nrl_host.monitor import web as web_module


class FakeSource:
    """A run that goes on by an episode with every look."""

    def __init__(self) -> None:
        self.episodes = 0
        self.asked: list[str] = []
        self.failure: Exception | None = None

    def read(self) -> View:
        if self.failure is not None:
            raise self.failure
        self.episodes += 1
        state = MonitorState("a run", {"Task": "</script>"}, "running", self.episodes, 0, can_pause=True)
        curves = {"episode": [1.0], "return": [float(self.episodes)]}
        return View(state, curves, self.episodes, {"layers": []}, 1)

    def command(self, command: str) -> str:
        if command == "snapshot":
            raise RunError("an episode is open")
        self.asked.append(command)
        return f"did {command}"

    def close(self) -> None:
        pass


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def server(source: FakeSource, monkeypatch: pytest.MonkeyPatch) -> Iterator[MonitorServer]:
    monkeypatch.setattr(web_module, "READ_SECONDS", 0.02)
    monkeypatch.setattr(web_module, "HEARTBEAT_SECONDS", 0.05)
    with MonitorServer(source) as running:
        yield running


def ask(
    server: MonitorServer, method: str, path: str, *, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def post(server: MonitorServer, command: object, **headers: str) -> tuple[int, str]:
    body = json.dumps({"command": command}).encode()
    status, _, data = ask(server, "POST", "/command", body=body, **headers)
    return status, json.loads(data)["message"]


def events(server: MonitorServer, count: int) -> list[tuple[str, Any]]:
    """The first events of a page."""
    found: list[tuple[str, Any]] = []
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        stream = connection.makefile("rb")
        assert b"200" in stream.readline()
        while stream.readline().strip():
            pass
        while len(found) < count:
            kind = stream.readline().decode().removeprefix("event: ").strip()
            data = json.loads(stream.readline().decode().removeprefix("data: "))
            assert stream.readline() == b"\n"
            found.append((kind, data))
    return found


def test_everything_a_page_loads_is_served_with_strict_headers(server: MonitorServer) -> None:
    for path in web_module._STATIC:
        status, headers, data = ask(server, "GET", path)
        assert status == 200 and len(data) == int(headers["Content-Length"]) > 500
        assert "script-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-store"
        if "uplot" not in path:
            # Offline: nothing is loaded from anywhere else.
            assert b"http:" not in data and b"https:" not in data
    for path in ("/nothing", "/../web.py", "/uplot/../../web.py", "/monitor.js/x", "/uplot/LICENSE/%2e%2e"):
        assert ask(server, "GET", path)[0] == 404


def test_events_carry_everything_then_what_is_new(server: MonitorServer) -> None:
    first = events(server, 3)
    assert {kind for kind, _ in first} == {"state", "curves", "network"}
    assert dict(first)["state"]["facts"] == {"Task": "</script>"}
    later = events(server, 12)
    numbers = [data["episodes"] for kind, data in later if kind == "state"]
    assert numbers == sorted(set(numbers)) and len(numbers) >= 3
    assert [kind for kind, _ in later].count("network") == 1, "what did not change is not sent again"


def test_only_names_of_this_machine_are_answered(server: MonitorServer) -> None:
    for name in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", f"127.0.0.1:{server.port + 1}", ""):
        for path in ("/", "/events"):
            assert ask(server, "GET", path, Host=name)[0] == 421, name
        assert post(server, "pause", Host=name, X_Monitor_Token=server.token)[0] == 421
    assert ask(server, "GET", "/", Host=f"localhost:{server.port}")[0] == 200
    assert server._server.server_address[0] == "127.0.0.1"


def test_commands_need_the_token_and_the_own_page(server: MonitorServer, source: FakeSource) -> None:
    assert post(server, "pause")[0] == 403
    assert post(server, "pause", X_Monitor_Token="guess")[0] == 403
    assert "token" in post(server, "pause", X_Monitor_Token=server.token[:-1])[1]
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{server.port + 1}", "http://localhost"):
        assert post(server, "pause", X_Monitor_Token=server.token, Origin=origin)[0] == 403
    assert source.asked == []
    own = f"http://127.0.0.1:{server.port}"
    assert post(server, "pause", X_Monitor_Token=server.token, Origin=own) == (200, "did pause")
    assert post(server, "resume", X_Monitor_Token=server.token) == (200, "did resume")
    assert source.asked == ["pause", "resume"]
    # The token stays behind #, which no browser sends.
    assert server.url == f"{own}/#{server.token}"


def test_what_is_no_command_is_refused(server: MonitorServer, source: FakeSource) -> None:
    token = {"X_Monitor_Token": server.token}
    for command in ("stop", "", None, 7, ["pause"], {"a": 1}):
        assert post(server, command, **token)[0] == 400
    for body in (b"", b"[]", b"{", b"\xff", b"[" * 1000):
        assert ask(server, "POST", "/command", body=body, **token)[0] == 400
    assert ask(server, "POST", "/command", body=b" " * 2000, **token)[0] == 400
    assert ask(server, "POST", "/other", body=b'{"command": "pause"}', **token)[0] == 400
    assert ask(server, "PUT", "/command", body=b"{}", **token)[0] == 501
    assert source.asked == []
    assert post(server, "snapshot", **token) == (409, "an episode is open")


def test_pages_that_come_and_go_leave_nothing_behind(server: MonitorServer) -> None:
    never = threading.Event()
    for _ in range(3):
        for _ in range(web_module.MOST_PAGES):
            events(server, 1)
        # Each notices with its next event that its page is gone.
        for _ in range(2000):
            if server._pages._value == web_module.MOST_PAGES:  # type: ignore[attr-defined]
                break
            never.wait(0.02)
        assert server._pages._value == web_module.MOST_PAGES  # type: ignore[attr-defined]


def test_a_source_that_fails_tells_the_pages(server: MonitorServer, source: FakeSource) -> None:
    events(server, 1)
    source.failure = DeviceError("the port failed: was the device unplugged?")
    found: list[tuple[str, Any]] = []
    while not any(kind == "failure" for kind, _ in found):
        found = events(server, 4)
    assert dict(found)["failure"] == {"message": "the port failed: was the device unplugged?"}
    assert isinstance(server.error, DeviceError)


def test_a_fault_of_this_program_tells_the_pages_too(server: MonitorServer, source: FakeSource) -> None:
    events(server, 1)
    source.failure = KeyError("what nobody thought of")
    found: list[tuple[str, Any]] = []
    while not any(kind == "failure" for kind, _ in found):
        found = events(server, 4)
    assert "what nobody thought of" in dict(found)["failure"]["message"]
    assert server.error is source.failure, "the command ends with it"


def test_a_port_that_is_taken(source: FakeSource) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(ConfigurationError, match="--http-port"):
        MonitorServer(source, port=other.getsockname()[1])
