"""The generated C agent, compiled for this computer and run in this process."""

from __future__ import annotations

from nrl_edge.native.agent import TERMINATED, TRUNCATED, NativeAgent
from nrl_edge.native.compiler import CCompiler, build_cached, cache_folder, compile_c, find_c_compiler

__all__ = [
    "TERMINATED",
    "TRUNCATED",
    "CCompiler",
    "NativeAgent",
    "build_cached",
    "cache_folder",
    "compile_c",
    "find_c_compiler",
]
