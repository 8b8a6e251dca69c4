"""The examples in docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import gradprox

EXPORT = "gradprox.export.denoiser"


def modules_with_examples():
    names = (module.name for module in pkgutil.walk_packages(gradprox.__path__, "gradprox."))
    for name in ("gradprox", *names):
        if name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        if module.__file__ and ">>>" in inspect.getsource(module):
            yield name


def check(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the file that the example of the export writes and the examples of the runtime read."""
    place = tmp_path_factory.mktemp("docstrings")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        check(EXPORT)
        yield place


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised by torch's exporter
@pytest.mark.parametrize("name", sorted({*modules_with_examples()} - {EXPORT}))
def test_examples(name, folder):
    check(name)


@pytest.mark.parametrize(
    ("package", "names"),
    [
        ("gradprox", ["LearnedProx", "load_model"]),
        ("gradprox.certificates", ["certify"]),
        ("gradprox.export", ["export_denoiser"]),
        ("gradprox.export.runtime", ["OnnxDenoiser"]),
        ("gradprox.networks", ["GradNetC", "GradNetM", "MGradNetC", "MGradNetM"]),
        ("gradprox.physics", ["BlockSensing", "CircularBlur", "HadamardSensing", "ValidBlur"]),
        ("gradprox.solvers", ["FISTA", "GD", "HQS", "PGD"]),
    ],
)
def test_main_names_have_an_example(package, names):
    for name in names:
        assert ">>>" in (getattr(importlib.import_module(package), name).__doc__ or ""), name
