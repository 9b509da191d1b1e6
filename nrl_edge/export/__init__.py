"""Exports an agent as a library for a program of one's own: for Arduino, for PlatformIO, or as plain C files."""

from nrl_edge.export.examples import EXAMPLE_TASKS, EXAMPLES, Example, example_experiment, fitting_examples
from nrl_edge.export.library import EXPORT_KINDS, ExportKind, render_export
from nrl_edge.export.plant import PLANT_SHAPE, render_plant, render_plant_project
from nrl_edge.export.write import MARKER, export_agent, export_plant, write_export

__all__ = [
    "EXAMPLES",
    "EXAMPLE_TASKS",
    "EXPORT_KINDS",
    "MARKER",
    "PLANT_SHAPE",
    "Example",
    "ExportKind",
    "example_experiment",
    "export_agent",
    "export_plant",
    "fitting_examples",
    "render_export",
    "render_plant",
    "render_plant_project",
    "write_export",
]
