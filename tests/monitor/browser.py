"""A real Chromium without a window, driven by Selenium through Debian's chromedriver."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tools import require_tool

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--hide-scrollbars", "--force-device-scale-factor=1", "--enable-precise-memory-info"),
)


@contextmanager
def chromium(profile: Path, *, dark: bool = False, size: tuple[int, int] = (1280, 900)) -> Iterator[Any]:
    """A browser with an empty profile; it keeps the console's messages for `console_errors`."""
    program = require_tool("chromium", "apt-get install chromium")
    service_program = require_tool("chromedriver", "apt-get install chromium-driver")
    pytest.importorskip("selenium", reason="selenium is not installed: pip install 'nrl-edge[dev]'")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Selenium must neither look for a driver on the network nor go through a proxy to the loopback interface.
    variables = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    driver = webdriver.Chrome(options, Service(service_program, env=variables | {"SE_OFFLINE": "true"}))
    try:
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


def kill_browser(profile: Path) -> None:
    """End the Chromium that has this profile, all its processes at once, as a crash would."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if f"--user-data-dir={profile}".encode() in command and b"chromedriver" not in command[0]:
                os.kill(int(folder.name), signal.SIGKILL)


def console_errors(driver: Any) -> list[str]:
    """What the page complained of since the last call."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def heap_bytes(driver: Any) -> int:
    """JavaScript memory that is really held: after a garbage collection."""
    driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    return int(driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"])


def whole_page(driver: Any, path: Path) -> None:
    """A screenshot of all of the page."""
    import base64

    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})
    path.write_bytes(base64.b64decode(shot["data"]))
