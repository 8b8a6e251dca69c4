"""The commands and code of README.md run as printed; `.ci/run` runs the two set-up commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gradprox.zoo import model_names, read_card
from tests.printed import README, ROOT, blocks, lay_out_images, run_command, run_python, setup_commands


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lay_out_images(tmp_path, 64)
    return tmp_path


@pytest.fixture(autouse=True)
def _readme():
    if not README.is_file():
        pytest.skip("the tests run without their README")


def test_two_commands_do_all_the_set_up():
    commands = setup_commands()
    assert len(commands) == 2
    assert commands[0].endswith("gradprox demo")
    assert commands[1].endswith("pytest")


EXPORT_OF_A_SOLVER = "gradprox export gray-deep"


def printed_commands():
    printed = [line for block in blocks(README) if block.language == "sh" for line in block.commands]
    return [line for line in printed if line.startswith("gradprox ")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised by torch's exporter
def test_commands_run_in_the_order_printed(folder, monkeypatch, capsys):
    lines = printed_commands()
    assert len(lines) >= 11
    for line in lines:
        # Trainings take an hour; tests/training runs the command.
        if not line.startswith(("gradprox train", EXPORT_OF_A_SOLVER)):
            run_command(line, monkeypatch, capsys)
    for name in ("sharp.png", "clean.png", "y.npz", "photo-again.png", "denoiser.onnx", "figures.json"):
        assert Path(name).stat().st_size > 0

    # The Python examples come last, because the second reads an exported file.
    for block in blocks(README):
        if block.language == "python":
            run_python(block.code, README, {})


@pytest.mark.slow  # tests/export has smaller networks
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_solver_is_exported(folder, monkeypatch, capsys):
    (line,) = [line for line in printed_commands() if line.startswith(EXPORT_OF_A_SOLVER)]
    run_command(line, monkeypatch, capsys)
    assert Path("deblur.onnx").stat().st_size > 0


QUADRUPLE = re.compile(r"([\d.]+) / ([\d.]+) / ([\d.]+) / ([\d.]+)")


def printed_psnr(page):
    return [
        [float(value) for value in found] for found in QUADRUPLE.findall(page.read_text(encoding="utf-8"))
    ]


def on_card(name, test_set):
    psnr = read_card(name).psnr[test_set]
    # Pages have two decimals, cards three.
    return pytest.approx([psnr[level] for level in ("5", "15", "25", "50")], rel=0, abs=0.0056)


def test_the_denoising_row_agrees_with_the_card():
    assert any(row == on_card("gray", "Set12") for row in printed_psnr(README))


@pytest.mark.parametrize("name", model_names())
def test_the_page_of_figures_agrees_with_the_cards(name):
    assert any(row == on_card(name, "BSDS32") for row in printed_psnr(ROOT / "docs" / "figures.md"))
