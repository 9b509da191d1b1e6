"""Studies that are killed for real: the command by SIGKILL, a worker of a Dask cluster in the middle of its work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from dask_helpers import address_of, dask_process
from study_helpers import SMALL, read_table, small_study, without_times

from nrl_edge.errors import ConfigurationError, RunError
from nrl_edge.study import DaskScheduler, LocalScheduler, run_study

COMMAND = [sys.executable, "-c", "from nrl_host.cli import main; main()", "study"]
DEADLINE_SECONDS = 120.0


def wait_until_gone(group: int) -> None:
    """Wait until no process of a group is left."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    pytest.fail("worker processes outlived the study that they worked for")


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(SMALL.replace('seeds = "100:104"', 'seeds = "100:160"'))
    arguments = [str(file), "--output", str(tmp_path / "s"), "--processes", "2", "--json", "--table-only"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, start_new_session=True, text=True) as first:
        assert first.stdout is not None
        for _ in range(5):
            line = json.loads(first.stdout.readline())
        assert line["finished"] == 5 and line["cells"] == 180
        first.kill()
    wait_until_gone(first.pid)

    kept = len(list((tmp_path / "s" / "cells").glob("*/seed_*.npz")))
    assert 5 <= kept < 180
    second = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=True)
    result = json.loads(second.stdout.splitlines()[-1])
    assert result["cells"] == 180 and result["ran"] == 180 - kept
    run_study(small_study(seeds='"100:160"'), tmp_path / "whole", LocalScheduler(2), statistics=False)
    assert without_times(read_table(tmp_path / "s" / "results.csv")) == without_times(
        read_table(tmp_path / "whole" / "results.csv")
    )


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_half_way_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client

    monkeypatch.setattr("nrl_edge.study.plan.MAX_SEEDS_PER_JOB", 2)
    study = small_study(seeds='"100:140"').select(only=["int16", "float64"])
    with ExitStack() as stack:
        local = ("--host", "127.0.0.1", "--no-dashboard")
        scheduler = stack.enter_context(dask_process("scheduler", *local, "--port", "0"))
        address = address_of(scheduler)
        # Without a nanny a worker that is killed stays dead.
        workers = [
            stack.enter_context(dask_process("worker", address, *local, "--no-nanny", "--nthreads", "1"))
            for _ in range(2)
        ]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=DEADLINE_SECONDS)
            seen: list[tuple[str, int]] = []

            def kill_one_half_way(variant, result, finished) -> None:
                seen.append((variant.name, result.seed))
                # Two cells are a job: three quarters of them are still to come.
                if sum("int16" in name for name, _ in seen) == 10 and workers[0].poll() is None:
                    busy = {worker for worker, tasks in client.processing().items() if tasks}
                    assert len(busy) == 2, "both workers have work when one is killed"
                    workers[0].kill()

            outcome = run_study(study, tmp_path / "s", DaskScheduler(address), kill_one_half_way, statistics=False)
            workers[0].wait(DEADLINE_SECONDS)
            assert workers[0].returncode == -signal.SIGKILL
            assert len(client.scheduler_info()["workers"]) == 1
        assert outcome.ran == outcome.cells == 80
        assert len(seen) == len(set(seen)) == 80
        again = run_study(study, tmp_path / "s", DaskScheduler(address), statistics=False)
        assert again.ran == 0
    rows = read_table(tmp_path / "s" / "results.csv")
    assert len({(row["variant"], row["seed"]) for row in rows}) == len(rows) == 80
    run_study(study, tmp_path / "local", LocalScheduler(2), statistics=False)
    assert without_times(rows) == without_times(read_table(tmp_path / "local" / "results.csv"))


@pytest.mark.slow
def test_a_cluster_that_is_lost_half_way_is_one_error_and_the_study_goes_on_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nrl_edge.study.plan.MAX_SEEDS_PER_JOB", 2)
    study = small_study(seeds='"100:140"').select(only=["float64"])
    told: list[str] = []
    with ExitStack() as stack:
        local = ("--host", "127.0.0.1", "--no-dashboard")
        scheduler = stack.enter_context(dask_process("scheduler", *local, "--port", "0"))
        address = address_of(scheduler)

        def start_a_worker(message: str) -> None:
            told.append(message)
            stack.enter_context(dask_process("worker", address, *local, "--no-nanny", "--nthreads", "1"))

        def lose_the_scheduler(variant, result, finished) -> None:
            if finished == 6:
                scheduler.kill()

        cluster = DaskScheduler(address, start_a_worker)
        with pytest.raises(RunError, match=r"the Dask scheduler at tcp.* was lost.*kept: run the study again"):
            run_study(study, tmp_path / "s", cluster, lose_the_scheduler, statistics=False)
    assert len(told) == 1 and f"has no workers yet; the study waits for one: dask worker {address}" in told[0]
    assert "Traceback" not in capfd.readouterr().err
    kept = len(list((tmp_path / "s" / "cells").glob("*/seed_*.npz")))
    outcome = run_study(study, tmp_path / "s", LocalScheduler(2), statistics=False)
    assert outcome.cells > kept >= 6 and outcome.ran == outcome.cells - kept


def test_an_address_without_a_port_is_refused_before_dask_waits_for_it() -> None:
    with pytest.raises(ConfigurationError, match=r"has a port, as in tcp://127\.0\.0\.1:8786"):
        DaskScheduler("tcp://127.0.0.1")


@pytest.mark.slow
def test_no_scheduler_at_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nrl_edge.study.schedule.CONNECT_SECONDS", 1)
    with pytest.raises(ConfigurationError, match="no Dask scheduler answers there"):
        run_study(small_study(), tmp_path / "s", DaskScheduler("tcp://127.0.0.1:9"), statistics=False)
