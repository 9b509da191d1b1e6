"""The generated PlatformIO project: always the same, never stale, harmless to its surroundings, and it builds."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from host_helpers import call, run_target, write_experiment
from tools import require_tool

from nrl_edge.codegen.project import MARKER, render_project, write_project
from nrl_edge.errors import ConfigurationError, MissingToolError, RunError
from nrl_edge.experiment import Experiment, load_experiment, resolve_agent
from nrl_host.build.platformio import build_project, core_folder
from nrl_host.targets.desktop import DesktopTarget


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return load_experiment(write_experiment(tmp_path / "agent", episodes=4))


def write(experiment: Experiment, folder: Path) -> list[Path]:
    return write_project(experiment, resolve_agent(experiment), folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def smaller(experiment: Experiment) -> Experiment:
    return replace(experiment, network=replace(experiment.network, hidden=(5,)))


def test_the_same_experiment_gives_the_same_project(experiment: Experiment, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "a" / "second"
    files = write(experiment, first)
    write(experiment, second)
    assert contents(first) == contents(second)
    assert sorted(str(path.relative_to(first)) for path in files) == sorted(contents(first))
    assert not any(str(tmp_path).encode() in data for data in contents(first).values())


def test_another_seed_or_network_gives_another_build_id(experiment: Experiment) -> None:
    experiments = (experiment, experiment.with_overrides(seed=1), smaller(experiment))
    texts = {render_project(each, resolve_agent(each))["include/nrl_project.h"] for each in experiments}
    assert len(texts) == 3


def test_writing_again_touches_nothing_that_stays_the_same(experiment: Experiment, tmp_path: Path) -> None:
    project = tmp_path / "project"
    times = {path: path.stat().st_mtime_ns for path in write(experiment, project)}
    write(experiment, project)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    write(smaller(experiment), project)
    changed = {str(path.relative_to(project)) for path, time in times.items() if path.stat().st_mtime_ns != time}
    assert "include/nrl_config.h" in changed
    assert not {"src/main.c", "src/link/nrl_frames.c"} & changed


def test_another_network_leaves_nothing_stale(experiment: Experiment, tmp_path: Path) -> None:
    project, clean = tmp_path / "project", tmp_path / "clean"
    write(experiment, project)
    # As if an earlier version had generated another source, and a user had added one.
    marker = json.loads((project / MARKER).read_text(encoding="utf-8"))
    marker["files"].append("src/core/nrl_old.c")
    (project / MARKER).write_text(json.dumps(marker), encoding="utf-8")
    (project / "src/core/nrl_old.c").write_text("#error stale", encoding="utf-8")
    (project / "src/mine.c").write_text("/* the user's own */", encoding="utf-8")
    write(smaller(experiment), project)
    write(smaller(experiment), clean)
    assert contents(project) == contents(clean) | {"src/mine.c": b"/* the user's own */"}


@pytest.mark.parametrize("content", ["a file", "a folder"])
def test_a_folder_that_holds_something_else_is_refused(experiment: Experiment, tmp_path: Path, content: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    if content == "a file":
        (project / "thesis.tex").write_text("years of work", encoding="utf-8")
    else:
        (project / "src").mkdir()
    before = sorted(project.rglob("*"))
    with pytest.raises(ConfigurationError, match="not empty"):
        write(experiment, project)
    assert sorted(project.rglob("*")) == before


def test_a_file_in_the_place_of_the_folder_is_refused(experiment: Experiment, tmp_path: Path) -> None:
    (tmp_path / "project").write_text("a file", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="is a file"):
        write(experiment, tmp_path / "project")


def test_a_list_of_files_that_was_changed_removes_nothing_outside(experiment: Experiment, tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    write(experiment, project)
    outside.mkdir()
    victims = [tmp_path / "victim", outside / "victim"]
    for victim in victims:
        victim.write_text("precious", encoding="utf-8")
    (project / "link").symlink_to(outside)
    (project / "alias").symlink_to(project / "platformio.ini")
    marker = json.loads((project / MARKER).read_text(encoding="utf-8"))
    names = ["../victim", str(victims[0]), "link/victim", "src/../../victim", "nothing/there", "alias"]
    (project / MARKER).write_text(json.dumps(marker | {"files": names}), encoding="utf-8")
    write(experiment, project)
    for victim in victims:
        assert victim.read_text(encoding="utf-8") == "precious"
    assert (project / "platformio.ini").is_file()
    assert not (project / "alias").is_symlink(), "of a stale link, the link is removed"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"files": 5}', '{"files": null}', '{"files": ["\\u0000"]}', "\u00ff{"]
)
def test_a_damaged_list_of_files_is_refused(experiment: Experiment, tmp_path: Path, text: str) -> None:
    project = tmp_path / "project"
    write(experiment, project)
    (project / MARKER).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigurationError, match=MARKER):
        write(experiment, project)
    assert (project / "src/main.c").is_file()


# Building


@contextlib.contextmanager
def watched_proxy() -> Iterator[tuple[str, list[bytes]]]:
    """A proxy that answers nothing and counts who asks."""
    asked: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                asked.append(connection.recv(1000))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        # Closing a socket does not wake who waits on it; a connection of our own does.
        socket.create_connection(server.getsockname()[:2]).close()
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@pytest.mark.slow
def test_the_project_builds_without_a_registry_and_computes_what_native_computes(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_tool("gcc", "apt-get install gcc libc6-dev")
    project = tmp_path / "a project with blanks"
    write(experiment, project)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("PLATFORMIO_CORE_DIR", "PLATFORMIO_HOME_DIR", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with watched_proxy() as (proxy, asked):
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy)
            monkeypatch.setenv(name.upper(), proxy)
        program = build_project(project)
        assert asked == []
        first_built = program.stat().st_mtime_ns
        assert build_project(project) == program
        assert program.stat().st_mtime_ns == first_built, "nothing changed, and it was built again"
    on_program = run_target(experiment, "desktop", program=program)
    assert on_program.weights_crc32 == run_target(experiment, "native").weights_crc32
    assert on_program.link is not None and on_program.link["device"]["bad_crc"] == 0

    with pytest.raises(ConfigurationError, match="moon"):
        build_project(project, "moon")
    (project / "src" / "main.c").write_text("#error this is wrong\n", encoding="utf-8")
    with pytest.raises(RunError, match="this is wrong"):
        build_project(project)


@pytest.mark.slow
def test_new_generate_build_and_hil_by_the_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_tool("gcc", "apt-get install gcc libc6-dev")
    path = tmp_path / "agent" / "experiment.toml"

    def result(*arguments: object) -> dict[str, object]:
        ended = call(capsys, monkeypatch, *arguments, "--json")
        assert (ended.code, ended.err) == (0, "")
        return ended.result

    result("new", path.parent)
    project = result("generate", path)["project"]
    program = Path(str(result("build", str(project))["program"]))
    with DesktopTarget(resolve_agent(load_experiment(path)), program=program) as device:
        on_device = result("hil", path, "--port", device.url, "--episodes", 5, "--run", tmp_path / "run")
    in_process = result("sim", path, "--target", "native", "--episodes", 5)
    assert on_device["weights_crc32"] == in_process["weights_crc32"]
    assert on_device["target"] == "desktop"
    assert result("replay", tmp_path / "run")["match"] is True


@pytest.mark.parametrize(("module", "package"), [("platformio", "platformio"), ("SCons", "scons")])
def test_a_missing_package_is_named(
    experiment: Experiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    package: str,
) -> None:
    write(experiment, tmp_path / "project")
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        core_folder.importlib.util, "find_spec", lambda name, *more: None if name == module else find_spec(name, *more)
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(MissingToolError, match=f"package {package}"):
        build_project(tmp_path / "project")
    assert call(capsys, monkeypatch, "build", tmp_path / "project", "--json").code == 4


def test_a_missing_compiler_is_named(experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(experiment, tmp_path / "project")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="apt-get install gcc"):
        build_project(tmp_path / "project")
