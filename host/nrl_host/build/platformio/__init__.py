"""Builds a generated project with PlatformIO, with or without its package registry."""

from nrl_host.build.platformio.core_folder import prepare_core_folder
from nrl_host.build.platformio.project import Toolchain, build_project

__all__ = ["Toolchain", "build_project", "prepare_core_folder"]
