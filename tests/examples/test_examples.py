"""The example scripts run, are short, and print something."""

from __future__ import annotations

import runpy

import pytest

from tests.printed import ROOT

SCRIPTS = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs_and_is_short(script, capsys):
    code = script.read_text(encoding="utf-8").splitlines()
    assert len([line for line in code if line.strip() and not line.startswith("from __future__")]) < 30
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out.strip()
