"""The one way templates are rendered: strict about names, no escaping, whitespace of block tags removed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nrl_edge.resources import templates_folder

TEMPLATE_SUFFIX = ".j2"


@cache
def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # C and build files, not HTML. Whoever puts text of a user's file into a template escapes it for that language.
        autoescape=False,
    )


def environment() -> Environment:
    """The environment of all templates; names are relative to the templates folder, such as `core/nrl_agent.c.j2`."""
    return _environment(templates_folder())


def render_template(name: str, variables: Mapping[str, Any]) -> str:
    """Render one template by its name relative to the templates folder."""
    return environment().get_template(name).render(variables)


def render_folder(name: str, variables: Mapping[str, Any]) -> dict[str, str]:
    """Render every `*.j2` file directly in a folder of the templates and take its other files as they are.

    Returns {file name without `.j2`: content}, in alphabetical order.
    """
    files: dict[str, str] = {}
    for path in sorted((templates_folder() / name).iterdir()):
        if path.suffix == TEMPLATE_SUFFIX:
            files[path.name.removesuffix(TEMPLATE_SUFFIX)] = render_template(f"{name}/{path.name}", variables)
        elif path.is_file():
            files[path.name] = path.read_text(encoding="utf-8")
    return files


def write_files(files: Mapping[str, str], folder: Path, marker: str | None = None) -> list[Path]:
    """Write rendered files below a folder, which is made where it is missing.

    A file that already has its content is left untouched, so that a build tool sees what really changed.
    `marker`, one of the files, is written first: what a full disk or a kill cuts off is known as ours, and can be
    written again.
    """
    for name, content in sorted(files.items(), key=lambda file: file[0] != marker):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode("utf-8")
        if not path.is_file() or path.read_bytes() != data:
            temporary = path.with_name(f".{path.name}.tmp")
            try:
                temporary.write_bytes(data)
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
    return [folder / name for name in files]
