"""The command line in this process, and a small photo for it."""

from __future__ import annotations

import sys

import pytest
from PIL import Image

from gradprox.cli.app import main
from gradprox.images import EXAMPLE_IMAGE


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line in this process; return exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradprox", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = capsys.readouterr()
        return exit_.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    with Image.open(EXAMPLE_IMAGE) as image:
        image.convert("L").crop((60, 60, 124, 108)).save(path)
    return path
