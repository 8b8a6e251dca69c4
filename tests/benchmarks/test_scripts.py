"""Every benchmark runs, at its smallest, and writes the figures it promises; what they say is not a test's concern."""

from __future__ import annotations

import json
import math
import runpy
import sys

import pytest
import torch

from tests.printed import ROOT

PAPER = {
    "activations": ["--only", "mGradNet-M (soft", "MLP gradient (tanh"],
    "field_2d": ["--only", "GradNet-M (radial", "ICGN"],
    "field_high": ["--dim", "5", "--field", "ball", "--samples", "64", "--only", "mGradNet-C (s", "ICNN"],
    "hamiltonian": ["--only", "GradNet-M (norms", "MLP gradient"],
    "nondifferentiable": ["--target", "tv", "--only", "mGradNet-M (spline", "MLP"],
}


def run(monkeypatch, script, *arguments):
    path = ROOT / "benchmarks" / script
    monkeypatch.syspath_prepend(str(path.parent))
    monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
    before = {*sys.modules}
    threads = torch.get_num_threads()
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
        # Benchmarks of different folders may have modules of one name.
        for name in {*sys.modules} - before:
            if str(path.parent) in str(getattr(sys.modules[name], "__file__", None)):
                del sys.modules[name]


def figures(report):
    """Yield every competitor's figures."""
    if "results" in report:
        yield from report["results"].values()
        return
    for part in report.values():
        if isinstance(part, dict):
            yield from figures(part)


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_experiments(name, monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    run(monkeypatch, f"paper/{name}.py", "--seeds", 1, "--steps", 1, *PAPER[name], "--json", out)
    found = [*figures(json.loads(out.read_text()))]
    assert len(found) >= 2
    for row in found:
        assert row["parameters"] > 0
        assert math.isfinite(row["mean_db"])


def test_scaling(monkeypatch, tmp_path):
    out = tmp_path / "report.json"
    run(monkeypatch, "paper/scaling.py", "--dims", 8, "--json", out)
    assert json.loads(out.read_text())
