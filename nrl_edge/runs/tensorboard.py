"""Curves of a run as TensorBoard events, written where they are logged.

tensorboardX's SummaryWriter hands events to a thread of its own, which a full disk ends with a traceback that nobody
can catch. Its file format is used here without that thread, so that an error comes to whoever logs.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nrl_edge.errors import RunError


class EventLog:
    """Appends scalars by step to a new event file in a folder.

    What earlier files of the folder hold from `first_step` on is hidden: it was cut back. Raises RunError where the
    file cannot be written; it is closed then, and logs no more.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        # Imported here, as it takes a quarter of a second that readers of runs should not pay.
        from tensorboardX import event_file_writer, summary
        from tensorboardX.proto import event_pb2

        self._folder = folder
        self._scalar, self._event = summary.scalar, event_pb2.Event
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Named by step too: a run may be resumed within the second that is in the file's name.
            self._writer: Any = event_file_writer.EventsWriter(str(folder / "events"), f".{first_step}")
        except OSError as error:
            raise self._not_written(error) from error
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(step=first_step, file_version="brain.Event:2")
        self._write(step=first_step, session_log=start)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Add values by tag."""
        for tag, value in scalars.items():
            self._write(step=step, summary=self._scalar(tag, value))

    def flush(self) -> None:
        """Hand everything to the operating system, and wait until it is on the disk."""
        if self._writer is None:
            return
        try:
            self._writer.flush()
        except OSError as error:
            self._give_up()
            raise self._not_written(error) from error

    def close(self) -> None:
        """Write what is left and close the file. Closing twice is fine."""
        self.flush()
        if self._writer is not None:
            self._give_up()

    def _write(self, **values: Any) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write_event(self._event(wall_time=time.time(), **values))
        except OSError as error:
            self._give_up()
            raise self._not_written(error) from error

    def _give_up(self) -> None:
        writer, self._writer = self._writer, None
        try:
            writer._py_recordio_writer.close()
        except OSError:
            # What is left in its buffer cannot be written either, and there is an error about that already.
            return

    def _not_written(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self._folder}: {error}. The disk may be full")
