"""Generate the page of commands: the ``--help`` of each, in the order of ``gradprox --help``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
import typer
from typer.testing import CliRunner

from gradprox.cli.app import app

MARK = "<!-- commands -->"
WIDTH = "100"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark by one section per command."""
    if MARK not in markdown:
        return markdown
    return markdown.replace(MARK, "\n".join(_sections(typer.main.get_command(app), ())))


def _sections(command: Any, words: tuple[str, ...]) -> Iterator[str]:
    if words:
        text = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": WIDTH, "TERM": "dumb"}).output
        lines = "\n".join(line.rstrip() for line in text.strip().splitlines())
        yield f"## `gradprox {' '.join(words)}`\n\n```text\n{click.unstyle(lines)}\n```\n"
    for name, inner in getattr(command, "commands", {}).items():
        yield from _sections(inner, (*words, name))
