"""Run the code and commands that README.md and the documentation print.

A page runs from top to bottom in one folder: ``sh`` blocks command by command, ``python`` blocks in one namespace.
A block with a title, for example ```` ```toml title="small.toml" ````, is written to the file of that name.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gradprox.cli.app import main
from gradprox.cli.runtime.app import main as runtime_main
from gradprox.images import EXAMPLE_IMAGE

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^(?P=indent)```",
    flags=re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the name of the file it is written to (or None), and its text."""

    language: str
    title: str | None
    code: str

    @property
    def commands(self) -> list[str]:
        """Return the command lines of a ``sh`` block, with continued lines joined."""
        lines = self.code.replace("\\\n", " ").splitlines()
        return [line for line in lines if line.strip() and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [
        Block(
            fence["language"], fence["title"], re.sub(rf"^{fence['indent']}", "", fence["code"], flags=re.M)
        )
        for fence in _FENCE.finditer(page.read_text(encoding="utf-8"))
    ]


def setup_commands() -> list[str]:
    """Return the commands of README.md that install gradprox."""
    return [line for b in blocks(README) if b.language == "sh" for line in b.commands if "venv" in line]


def lay_out_images(folder: Path, side: int) -> None:
    """Create the image files that the pages use, of ``side`` by ``side`` pixels."""
    with Image.open(EXAMPLE_IMAGE) as image:
        small = image.crop((64, 64, 64 + side, 64 + side))
    for name in ("photo.png", "photo.jpg", "noisy.png"):
        small.save(folder / name)
    (folder / "FOLDER").mkdir()
    shutil.copy(folder / "photo.png", folder / "FOLDER" / "photo.png")


def run_command(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a ``gradprox`` or ``gradprox-runtime`` command line in this process; fail if it fails."""
    words = shlex.split(line)
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as exit_:
        runtime_main() if words[0] == "gradprox-runtime" else main()
    assert not exit_.value.code, f"{line}: {capsys.readouterr().err}"


def run_python(code: str, page: Path, namespace: dict[str, Any]) -> None:
    """Run a ``python`` block in a namespace."""
    exec(compile(code, str(page), "exec"), namespace)  # noqa: S102  our own pages
