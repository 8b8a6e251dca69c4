"""The documentation builds without warnings and without a network; formulas are drawn; pages load nothing remote."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.printed import ROOT

pytestmark = pytest.mark.slow

# Every connection fails at once, like on a machine without a network.
BUILD = """
import socket, sys

def refuse(*_):
    raise OSError("the documentation must build without a network")

socket.socket.connect = refuse
from mkdocs.__main__ import cli
sys.argv = ["mkdocs", "build", "--strict", "--quiet", "--config-file", sys.argv[1], "--site-dir", sys.argv[2]]
cli()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for package in ("mkdocs", "mkdocstrings", "latex2mathml"):
        pytest.importorskip(package, reason="the extra [docs] is not installed")
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-c", BUILD, str(ROOT / "mkdocs.yml"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {str(page.relative_to(folder)): page.read_text() for page in folder.rglob("*.html")}


def test_every_formula_is_drawn(site):
    assert site["theory/index.html"].count("<math") > 50
    assert not [name for name, page in site.items() if "arithmatex" in page]


def test_pages_load_nothing_from_elsewhere(site):
    loaded = re.compile(r'(?:src="|<link[^>]* href=")(?:https?:)?//')
    assert not [name for name, page in site.items() if loaded.search(page)]


def test_tables_are_made(site):
    assert not [name for name, page in site.items() if "<!-- table" in page or "<!-- commands" in page]
    assert "gradprox evaluate deblur" in site["figures/index.html"]
    assert "benchmarks/runtime.py" in site["figures/index.html"]
    assert "gradprox certify" in site["commands/index.html"]
    assert "PGD" in site["solvers/index.html"]
