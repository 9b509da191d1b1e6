"""The CartPole of the firmware, compiled for this computer."""

from __future__ import annotations

import ctypes
from functools import cache

from nrl_edge.codegen.render import render_folder
from nrl_edge.native.compiler import build_cached

Shifts = ctypes.c_uint8 * 4


class CartPole(ctypes.Structure):
    _fields_ = (
        ("position", ctypes.c_int32),
        ("speed", ctypes.c_int32),
        ("angle", ctypes.c_int32),
        ("rate", ctypes.c_int32),
        ("steps", ctypes.c_uint16),
    )

    @property
    def state(self) -> tuple[int, int, int, int]:
        return self.position, self.speed, self.angle, self.rate


@cache
def cartpole_library(*flags: str) -> ctypes.CDLL:
    files = render_folder("environment", {"environment": {"seed": 1, "episodes": 1}, "shifts": (14, 14, 11, 14)})
    library = ctypes.CDLL(str(build_cached(files, "cartpole", shared=True, extra_flags=("-O1", *flags))))
    library.nrl_episode_seed.restype = ctypes.c_uint32
    library.nrl_episode_seed.argtypes = (ctypes.c_uint64, ctypes.c_uint32)
    library.nrl_cartpole_reset.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    return library


def c_reset(library: ctypes.CDLL, seed: int) -> CartPole:
    cartpole = CartPole()
    library.nrl_cartpole_reset(ctypes.byref(cartpole), seed)
    return cartpole


def c_step(library: ctypes.CDLL, cartpole: CartPole, action: int) -> tuple[bool, bool]:
    terminated, truncated = ctypes.c_bool(), ctypes.c_bool()
    library.nrl_cartpole_step(ctypes.byref(cartpole), action, ctypes.byref(terminated), ctypes.byref(truncated))
    return terminated.value, truncated.value


def c_observe(library: ctypes.CDLL, cartpole: CartPole, shifts: tuple[int, ...]) -> tuple[int, ...]:
    observation = (ctypes.c_int16 * 4)()
    library.nrl_cartpole_observe(ctypes.byref(cartpole), Shifts(*shifts), observation)
    return tuple(observation)
