"""Every module imports alone, as the first of gradprox in an interpreter: no import circle depends on the order."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.printed import ROOT

# Third-party packages are imported once. Each fork then imports one module of gradprox, in the state of a fresh
# interpreter as far as gradprox is concerned. A process for each module would import torch 180 times.
PROGRAM = """
import contextlib, importlib, json, os, sys, traceback, warnings
warnings.simplefilter("ignore")
for name in sys.argv[1].split():
    with contextlib.suppress(ImportError):  # optional packages
        importlib.import_module(name)
loaded = [name for name in sys.modules if name.split(".")[0] == "gradprox"]
assert not loaded, loaded
failures = {}
for name in sys.stdin.read().split():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            importlib.import_module(name)
        except BaseException:
            os.write(writer, traceback.format_exc()[-2000:].encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    if said:
        failures[name] = said
print(json.dumps(failures))
"""
THIRD_PARTY = (
    "torch deepinv numpy scipy.fft scipy.io scipy.optimize scipy.special PIL.Image imagecodecs tifffile "
    "safetensors.torch pydantic.main pydantic.type_adapter typer rich.console rich.progress rich.table "
    "matplotlib.figure onnx onnxruntime onnxscript tomllib tomli"
)
# The folders of the repository and the packages they install as.
FOLDERS = {
    "gradprox": "gradprox",
    "solvers": "gradprox.solvers",
    "export": "gradprox.export",
    "cli": "gradprox.cli",
}


def modules():
    for folder, package in FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            if parts[-1] != "__main__":  # runs the command line
                yield name


def failures(names):
    """Import each module in a process where no other module of gradprox was imported; return the tracebacks."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, THIRD_PARTY],
        input="\n".join(names),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_every_module_imports_alone():
    names = list(modules())
    assert "gradprox.networks.linear_systems" in names
    assert len(names) > 150
    assert failures(names) == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_import_that_fails_is_reported():
    assert "ModuleNotFoundError" in failures(["gradprox.no_such_module"])["gradprox.no_such_module"]


def test_linear_systems_may_be_the_first_import():
    subprocess.run([sys.executable, "-c", "import gradprox.networks.linear_systems"], check=True)
