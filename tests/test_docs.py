"""What README and docs show exists: every verb, every option, every link."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import typer.main

from nrl_host.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def shown_commands() -> list[tuple[str, str]]:
    """(page, command line) of every nrl-edge command in an indented block or in back quotes."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for line in re.findall(r"^ {4}(nrl-edge [^\n#]*)", text, re.MULTILINE) + re.findall(
            r"`(nrl-edge [a-z][^`|\[\n]*)`", text
        ):
            found.append((page.name, line.strip()))
    return found


def test_the_pages_show_commands() -> None:
    assert len(shown_commands()) >= 12


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_every_shown_command_exists_with_its_options(page: str, line: str) -> None:
    words = shlex.split(line)
    assert words[1] in COMMANDS or words[1].startswith("--"), f"{page}: {line}"
    if words[1] in COMMANDS:
        command = COMMANDS[words[1]]
        if hasattr(command, "commands"):
            command = command.commands[words[2]]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        used = {word.split("=")[0] for word in words[2:] if word.startswith("-")}
        assert used <= known, f"{page}: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "#")):
            assert (page.parent / target.split("#")[0]).exists(), target


def test_every_message_names_only_commands_that_exist() -> None:
    named = []
    for package in (ROOT / "nrl_edge", ROOT / "host" / "nrl_host"):
        for source in package.rglob("*.py"):
            named += re.findall(r"(?:`|: )nrl-edge ([a-z]+)", source.read_text(encoding="utf-8"))
    assert len(named) > 10
    assert set(named) <= set(COMMANDS)


@pytest.mark.parametrize(
    "table", sorted((ROOT / "docs" / "results").glob("*/summary.md")), ids=lambda path: path.parent.name
)
def test_the_tables_of_the_results_are_those_that_the_studies_wrote(table: Path) -> None:
    pages = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("results.md", "tried.md")]
    assert any(table.read_text(encoding="utf-8") in page for page in pages)
    assert (ROOT / "studies" / f"{table.parent.name}.toml").is_file()


@cache
def texts_of_the_sources() -> list[str]:
    """Every string of the packages, pieces of one message together, what is filled in as a gap."""
    found = []
    for package in (ROOT / "nrl_edge", ROOT / "host" / "nrl_host"):
        for source in package.rglob("*.py"):
            for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
                elif isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
                    found.append("".join(map(str, parts)))
    found.append((ROOT / "firmware_templates" / "messages.toml").read_text(encoding="utf-8"))
    return found


def shown_messages() -> list[str]:
    """First cells of the tables of the page of messages, where they quote a message."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    sections = page.split("## The monitor's page")[0]
    cells = [line.split("|")[1].strip() for line in sections.splitlines() if line.startswith("| ")]
    return [
        cell for cell in cells if cell != "message" and not cell.startswith("mean return") and "vanished" not in cell
    ]


@pytest.mark.parametrize("message", shown_messages())
def test_every_message_that_is_explained_is_one_that_is_said(message: str) -> None:
    texts = texts_of_the_sources()
    # A sentence of the page is as good as said where each of its longer pieces is.
    names = r"avr-gcc|qemu-system-arm"
    pieces = [piece.strip(" :,()") for piece in re.split(rf"\.\.\.|\d+|{names}", message)]
    for piece in (each for each in pieces if len(each) > 9):
        # What the system says, and what the names of tools and ports are filled in with.
        known = ("Permission denied", "Could not exclusively lock", "No such file", "No space left", "HTTPClientError")
        if any(word in piece for word in known):
            continue
        assert any(piece in text for text in texts), piece
