"""What README.md prints runs as printed; the two set-up commands are run by `.ci/run`."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from gradprox.cli.app import main
from gradprox.cli.demo import PICTURE

README = Path(__file__).parents[1] / "README.md"


def blocks(language):
    if not README.is_file():
        pytest.skip("the tests run without their README")
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Image.open(PICTURE) as picture:
        small = picture.crop((64, 64, 128, 128))
    for name in ("photo.png", "photo.jpg", "noisy.png"):
        small.save(name)
    Path("FOLDER").mkdir()
    shutil.copy("photo.png", "FOLDER/photo.png")
    return tmp_path


def test_two_commands_do_all_the_set_up():
    commands = [block.strip() for block in blocks("sh") if "venv" in block]
    assert len(commands) == 2
    assert commands[0].endswith("gradprox demo")
    assert commands[1].endswith("pytest")


def command_lines():
    return [line for block in blocks("sh") for line in block.splitlines() if line.startswith("gradprox ")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the exporter, within torch
def test_commands_run_in_the_order_printed(folder, monkeypatch, capsys):
    lines = command_lines()
    assert len(lines) >= 11
    for line in lines:
        if line.startswith("gradprox train"):
            continue  # an hour; tests/training runs the command itself
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as exit_:
            main()
        assert not exit_.value.code, f"{line}: {capsys.readouterr().err}"
    for name in (
        "sharp.png",
        "clean.png",
        "y.npz",
        "photo-again.png",
        "denoiser.onnx",
        "deblur.onnx",
        "figures.json",
    ):
        assert Path(name).stat().st_size > 0

    # The Python examples, the second of which needs what was just exported.
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102  our own README
