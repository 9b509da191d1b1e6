"""Where a study's jobs run: processes of this machine, or an existing Dask cluster. Results come as they finish."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import re
import signal
import threading
import uuid
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any, Protocol

from nrl_edge import __version__
from nrl_edge.errors import ConfigurationError, MissingToolError, RunError
from nrl_edge.study.cells import CellResult, Job, run_job

Results = Generator[tuple[Job, list[CellResult]], None, None]

CONNECT_SECONDS = 10
LOST_WORKERS_PER_JOB = 10
"""A job that has taken so many workers with it is given up: it is most likely too large for them."""


class Scheduler(Protocol):
    """Runs jobs."""

    def run(self, jobs: Sequence[Job]) -> Results:
        """Run all jobs, in any order, and yield each with its results when it is done.

        Closing the generator early drops what has not begun. Raises what a job raised.
        """
        ...


def _not_told(message: str) -> None:
    """For whom nobody wants to hear."""


def make_scheduler(
    address: str, processes: int | None = None, on_warning: Callable[[str], None] = _not_told
) -> Scheduler:
    """`local`, or the address of a Dask scheduler such as tcp://10.0.0.5:8786. Raises ConfigurationError.

    `on_warning` is told where a cluster has no workers to begin with.
    """
    if address == "local":
        return LocalScheduler(processes)
    if "://" in address:
        if processes is not None:
            raise ConfigurationError("--processes is for --scheduler local: a cluster has the workers that it has")
        return DaskScheduler(address, on_warning)
    raise ConfigurationError(
        f"--scheduler {address}: allowed are local, and the address of a Dask scheduler such as tcp://127.0.0.1:8786"
    )


class LocalScheduler:
    """Worker processes on this machine: one a core, or `processes` of them."""

    def __init__(self, processes: int | None = None) -> None:
        if processes is not None and processes < 1:
            raise ConfigurationError(f"--processes {processes}: at least 1 is needed")
        self.processes = processes or os.cpu_count() or 1

    def run(self, jobs: Sequence[Job]) -> Results:
        """Run all jobs; see `Scheduler.run`. Raises RunError where a worker process is killed."""
        if not jobs:
            return
        pool = ProcessPoolExecutor(
            min(self.processes, len(jobs)),
            # A fresh interpreter: a fork would inherit the threads of progress bars and of BLAS, or rather their locks.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare_worker,
        )
        try:
            futures = {pool.submit(run_job, job): job for job in jobs}
            for future in as_completed(futures):
                # The pool's own table keeps no results alive: a study may have thousands of jobs.
                yield futures.pop(future), future.result()
        except BrokenProcessPool:
            raise RunError(
                "a worker process was killed, most likely for want of memory; what was finished is kept: run the study "
                "again to go on, with fewer --processes"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def end_with_it() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()


class DaskScheduler:
    """An existing Dask cluster, whose workers have the same nrl-edge installed. Needs the extra `dask`.

    Dask runs the jobs of a worker that died on another one; a result counts once, when it has come here.
    """

    def __init__(self, address: str, on_warning: Callable[[str], None] = _not_told) -> None:
        self.address = address
        self._on_warning = on_warning
        if address.startswith(("tcp://", "tls://")) and not re.search(r":\d+$", address):
            # Dask would find out as well, and after that take half a minute to end.
            raise ConfigurationError(
                f"--scheduler {address}: the address of a Dask scheduler has a port, as in {address}:8786"
            )
        try:
            self._distributed: Any = importlib.import_module("distributed")
        except ImportError as error:
            raise MissingToolError(
                f"--scheduler {address} needs Dask, which is not installed ({error}); install it with: "
                "pip install 'nrl-edge[dask]'"
            ) from error

    def run(self, jobs: Sequence[Job]) -> Results:
        """Run all jobs; see `Scheduler.run`. Raises ConfigurationError where there is no such cluster."""
        if not jobs:
            return
        distributed = self._distributed
        # Of a connection that is lost Dask's log has a traceback, from a thread of its own; it is told here in words.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        try:
            client = distributed.Client(self.address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"--scheduler {self.address}: no Dask scheduler answers there ({error}); start one with: dask scheduler"
            ) from error
        with client:
            self._check_workers(client)
            run = uuid.uuid4().hex[:8]
            # A key of its own for each job and run: Dask would otherwise answer from what it remembers.
            futures = {
                client.submit(
                    run_job, job, key=f"nrl-edge-{run}-{index}", pure=False, retries=LOST_WORKERS_PER_JOB
                ): job
                for index, job in enumerate(jobs)
            }
            try:
                for future in distributed.as_completed(list(futures), loop=client.loop):
                    job = futures.pop(future)
                    yield job, self._result(future, job)
                    future.release()
            except distributed.client.CancelledError:
                raise RunError(
                    f"the connection to the Dask scheduler at {self.address} was lost; what was finished is kept: "
                    "run the study again to go on, when the scheduler is there"
                ) from None
            finally:
                with suppress(Exception):  # the cluster may be gone, and with it whatever was to be cancelled
                    client.cancel(list(futures))

    def _check_workers(self, client: Any) -> None:
        versions = client.run(_version, on_error="return")
        if not versions:
            self._on_warning(
                f"the Dask scheduler at {self.address} has no workers yet; the study waits for one: dask worker "
                f"{self.address} --nthreads 1"
            )
        wrong = {worker: found for worker, found in versions.items() if found != __version__}
        if wrong:
            worker, found = next(iter(wrong.items()))
            raise ConfigurationError(
                f"--scheduler {self.address}: worker {worker} has nrl-edge {found!s}, and here it is {__version__}; "
                "install the same version on every worker"
            )

    def _result(self, future: Any, job: Job) -> list[CellResult]:
        try:
            results: list[CellResult] = future.result()
        except self._distributed.KilledWorker as error:
            raise RunError(
                f"{job.name}: every worker that tried it died ({error}); look at the workers' logs"
            ) from None
        return results


def _version() -> str:
    return __version__
