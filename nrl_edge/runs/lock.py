"""Keeps two processes from writing into one folder: a lock that ends with the process that holds it."""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Callable
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two processes from sharing a folder there
    fcntl = None  # type: ignore[assignment]

_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


_HELD: weakref.WeakValueDictionary[Path, FolderLock] = weakref.WeakValueDictionary()
"""What this process holds, or held."""


class FolderBusyError(Exception):
    """Another process holds the folder's lock."""


class FolderLock:
    """The lock of a folder, held from its making until `release`, or until nobody knows it any more."""

    def __init__(self, folder: Path, *, take_over: bool = False) -> None:
        """Raises FolderBusyError where it is held: by another process, or without `take_over` by this one.

        With `take_over`, what this process holds passes to the new lock: a run that an error left open in a notebook
        can be gone on with there. A file system that cannot lock folders, as some network file systems, goes without.
        """
        self._finalizer: Callable[[], object] = lambda: None
        if fcntl is None:
            return
        path = folder.resolve()
        held = _HELD.get(path)
        if take_over and held is not None:
            held.release()
        descriptor = os.open(path, os.O_RDONLY)
        self._finalizer = weakref.finalize(self, os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if error.errno in _BUSY:
                raise FolderBusyError(str(folder)) from None
        _HELD[path] = self

    def release(self) -> None:
        """Let others write into the folder."""
        self._finalizer()
