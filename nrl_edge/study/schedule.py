"""Where a study's jobs run: processes of this machine, or an existing Dask cluster. Results come as they finish."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import re
import signal
import threading
import time
import uuid
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.sharedctypes import Synchronized
from typing import Any, Protocol

from nrl_edge import __version__
from nrl_edge.errors import ConfigurationError, MissingToolError, RunError
from nrl_edge.study.cells import CellResult, Job, run_job

Results = Generator[tuple[Job, list[CellResult]], None, None]

OnProgress = Callable[[float], None]
"""Is called now and then with how much of the running jobs is done, in cells."""

CONNECT_SECONDS = 10
LOST_WORKERS_PER_JOB = 10
"""A job that has taken so many workers with it is given up: it is most likely too large for them."""
_PROGRESS_SECONDS = 0.5


def _no_matter(cells: float) -> None:
    """For those who only want results."""


class Scheduler(Protocol):
    """Runs jobs."""

    @property
    def workers(self) -> int:
        """Jobs that run at a time, at least 1. Raises as `run` does where nobody can say."""
        ...

    def run(self, jobs: Sequence[Job], on_progress: OnProgress = _no_matter) -> Results:
        """Run all jobs, in any order, and yield each with its results when it is done.

        A scheduler that cannot look into jobs that run never calls `on_progress`. Closing the generator early drops
        what has not begun. Raises what a job raised.
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

    @property
    def workers(self) -> int:
        """The processes."""
        return self.processes

    def run(self, jobs: Sequence[Job], on_progress: OnProgress = _no_matter) -> Results:
        """Run all jobs; see `Scheduler.run`. Raises RunError where a worker process is killed."""
        if not jobs:
            return
        # A fresh interpreter: a fork would inherit the threads of progress bars and of BLAS, or rather their locks.
        context = multiprocessing.get_context("spawn")
        done = context.Value("d", 0.0)
        pool = ProcessPoolExecutor(
            min(self.processes, len(jobs)), mp_context=context, initializer=_prepare_worker, initargs=(done,)
        )
        try:
            futures = {pool.submit(_run_counted, job): job for job in jobs}
            finished = 0
            while futures:
                for future in wait(futures, _PROGRESS_SECONDS, FIRST_COMPLETED).done:
                    # The table keeps no results alive: a study may have thousands of jobs.
                    job = futures.pop(future)
                    finished += len(job.seeds)
                    yield job, future.result()
                # Episodes of a job whose seeds are run again, since one diverged, count again.
                on_progress(min(max(done.value - finished, 0.0), sum(len(job.seeds) for job in futures.values())))
        except BrokenProcessPool:
            raise RunError(
                "a worker process was killed, most likely for want of memory; what was finished is kept: run the study "
                "again to go on, with fewer --processes"
            ) from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_cells_done: Synchronized[float] | None = None
"""In a worker process: how much all of them have done, in cells."""


def _run_counted(job: Job) -> list[CellResult]:
    """Run a job in a worker process, and tell how far it is."""
    counted = _EpisodeCount(1.0 / job.variant.experiment.learning.episodes)
    try:
        return run_job(job, counted)
    finally:
        counted.tell()


class _EpisodeCount:
    """Counts the episodes of a job, and adds them to the common count now and then."""

    def __init__(self, cells_per_episode: float) -> None:
        self._cells_per_episode = cells_per_episode
        self._episodes = 0
        self._told = time.monotonic()

    def __call__(self) -> None:
        self._episodes += 1
        if time.monotonic() - self._told > _PROGRESS_SECONDS:
            self.tell()

    def tell(self) -> None:
        assert _cells_done is not None
        with _cells_done.get_lock():
            _cells_done.value += self._episodes * self._cells_per_episode
        self._episodes = 0
        self._told = time.monotonic()


def _prepare_worker(cells_done: Synchronized[float]) -> None:
    """Leave Ctrl-C to the parent, and end with it, however it ends."""
    global _cells_done
    _cells_done = cells_done
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

    @property
    def workers(self) -> int:
        """Threads of all workers that the cluster has now. Raises ConfigurationError where there is no such cluster."""
        with self._connect() as client:
            threads: dict[str, int] = client.nthreads()
            return max(1, sum(threads.values()))

    def run(self, jobs: Sequence[Job], on_progress: OnProgress = _no_matter) -> Results:
        """Run all jobs; see `Scheduler.run`. Raises ConfigurationError where there is no such cluster."""
        if not jobs:
            return
        distributed = self._distributed
        with self._connect() as client:
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

    def _connect(self) -> Any:
        # Of a connection that is lost Dask's log has a traceback, from a thread of its own; it is told here in words.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        try:
            return self._distributed.Client(self.address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"--scheduler {self.address}: no Dask scheduler answers there ({error}); start one with: dask scheduler"
            ) from error

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
