"""Writes an export into a folder, and nothing over what is not one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from nrl_edge import __version__
from nrl_edge.codegen.project import remove_stale
from nrl_edge.codegen.render import write_files
from nrl_edge.errors import ConfigurationError
from nrl_edge.experiment import Experiment
from nrl_edge.export.library import ExportKind, render_export
from nrl_edge.export.plant import render_plant_project
from nrl_edge.fixedpoint.configuration import AgentConfiguration

MARKER = "nrl_export.json"
"""Lists the files that were exported, so that an export can be written again without touching anything else."""


def export_agent(
    kind: ExportKind,
    experiment: Experiment,
    configuration: AgentConfiguration,
    folder: Path,
    *,
    name: str = "NrlAgent",
    force: bool = False,
    dry_run: bool = False,
) -> list[Path]:
    """Write a library with the agent of an experiment into `folder`; returns its files. See `write_export`."""
    files = render_export(kind, experiment, configuration, name)
    manifest = {
        "generator": f"nrl-edge {__version__}",
        "kind": kind,
        "name": name,
        "agent": configuration.description,
        "agent_identity": f"{configuration.identity:08x}",
        "files": sorted(files),
    }
    # The IDEs ignore what they do not know.
    files[MARKER] = json.dumps(manifest, indent=2) + "\n"
    return write_export(files, folder, force=force, dry_run=dry_run)


def export_plant(board: str, folder: Path, *, force: bool = False, dry_run: bool = False) -> list[Path]:
    """Write the firmware of a plant for a board into `folder`; returns its files. See `write_export`."""
    files = render_plant_project(board)
    manifest = {"generator": f"nrl-edge {__version__}", "kind": "plant", "board": board, "files": sorted(files)}
    files[MARKER] = json.dumps(manifest, indent=2) + "\n"
    return write_export(files, folder, force=force, dry_run=dry_run)


def write_export(files: Mapping[str, str], folder: Path, *, force: bool = False, dry_run: bool = False) -> list[Path]:
    """Write {path: text} into `folder`; returns the paths. With `dry_run` nothing is written.

    An earlier export in the folder is replaced, and nothing else is touched. Raises ConfigurationError where the folder
    holds something that is no export, unless `force`, or cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise ConfigurationError(f"{folder} is a file; name a folder with --output")
        is_export = (folder / MARKER).is_file()
        if folder.is_dir() and any(folder.iterdir()) and not is_export and not force:
            raise ConfigurationError(
                f"{folder} is not empty and holds no export; name an empty or new folder with --output, or write into "
                "it with --force: files of the same names are then replaced"
            )
        if dry_run:
            return [folder / name for name in files]
        if is_export:
            remove_stale(folder, files, MARKER)
        return write_files(files, folder, MARKER)
    except OSError as error:
        raise ConfigurationError(f"cannot write the export to {folder}: {error}") from error
