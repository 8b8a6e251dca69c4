"""Every module imports alone, as the first of gradprox in an interpreter: no import circle depends on the order."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.modules import modules_of_packages
from tests.printed import ROOT

# Third-party packages are imported once. Each package of gradprox is then imported in a fork, which is a fresh
# interpreter as far as gradprox is concerned. Python imports a package before its modules, so each module is imported
# in a fork of that fork. A process for each module would import torch 180 times.
PROGRAM = """
import contextlib, importlib, json, os, sys, traceback, warnings

def in_fork(work):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as stream:
            json.dump(work(), stream)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return json.loads(said)

def attempt(name):
    try:
        importlib.import_module(name)
    except BaseException:
        return {name: traceback.format_exc()[-2000:]}
    return {}

def attempt_all(package, modules):
    failures = attempt(package)
    for name in modules:
        if name not in sys.modules:  # otherwise the package has imported it
            failures |= in_fork(lambda name=name: attempt(name))
    return failures

warnings.simplefilter("ignore")
for name in sys.argv[1].split():
    with contextlib.suppress(ImportError):  # optional packages
        importlib.import_module(name)
loaded = [name for name in sys.modules if name.split(".")[0] == "gradprox"]
assert not loaded, loaded
failures = {}
for package, modules in json.load(sys.stdin).items():
    failures |= in_fork(lambda: attempt_all(package, modules))
print(json.dumps(failures))
"""
THIRD_PARTY = (
    "torch deepinv numpy scipy.fft scipy.io scipy.optimize scipy.special PIL.Image imagecodecs tifffile "
    "safetensors.torch pydantic.main pydantic.type_adapter typer rich.console rich.progress rich.table "
    "matplotlib.figure onnx onnxruntime onnxscript tomllib tomli"
)


def failures(modules_of):
    """Import every package and module in a process that has imported nothing of gradprox; return the tracebacks."""
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, THIRD_PARTY],
        input=json.dumps(modules_of),
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_every_module_imports_alone():
    found = modules_of_packages()
    assert "gradprox.networks.linear_systems" in found["gradprox.networks"]
    assert sum(map(len, found.values())) > 150
    # The last one shows that a failure is reported.
    missing = "gradprox.networks.no_such_module"
    found["gradprox.networks"].append(missing)
    said = failures(found)
    assert list(said) == [missing], said
    assert "ModuleNotFoundError" in said[missing]


def test_linear_systems_may_be_the_first_import():
    subprocess.run([sys.executable, "-c", "import gradprox.networks.linear_systems"], check=True)


def test_packages_are_attributes_as_soon_as_gradprox_is_imported():
    pages = (ROOT / "docs" / "api").glob("*.md")
    packages = sorted({f"{page.read_text().split()[1]}.".split(".")[1] for page in pages} - {""})
    assert {"blind", "posterior", "solvers"} < {*packages}
    program = (
        "import gradprox, json, sys; names = json.load(sys.stdin); listed = {*dir(gradprox)}; "
        "print([n for n in names if n not in listed or getattr(gradprox, n).__name__ != f'gradprox.{n}'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(packages),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
