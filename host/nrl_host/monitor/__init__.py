"""Watching a run or a device while it learns, in the terminal or in a browser."""

from nrl_host.monitor.link_source import LinkSource
from nrl_host.monitor.run_source import RunSource
from nrl_host.monitor.state import ENDED, Command, MonitorState, NoiseState, Source, View
from nrl_host.monitor.web import MonitorServer

__all__ = [
    "ENDED",
    "Command",
    "LinkSource",
    "MonitorServer",
    "MonitorState",
    "NoiseState",
    "RunSource",
    "Source",
    "View",
]
