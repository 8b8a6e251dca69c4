"""A package that is missing is named in one line, with the command that installs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gradprox

# Makes one package, and all that Python has not imported yet of it, impossible to import.
_HIDE = "import sys; sys.modules[{package!r}] = None; "


def python(package, code):
    return subprocess.run(
        [sys.executable, "-c", _HIDE.format(package=package) + code],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_the_command_line_ends_in_one_line(package):
    code = "sys.argv = ['gradprox', 'models']; from gradprox.__main__ import main; main()"
    done = python(package, code)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: gradprox needs the package {package}, which is not installed: `pip install {package}`, or install "
        "gradprox again without --no-deps\n"
    )


@pytest.mark.parametrize(
    ("package", "name"), [("pydantic", "pydantic"), ("deepinv", "deepinv"), ("PIL", "pillow")]
)
def test_loading_a_model_names_what_it_needs(package, name):
    done = python(package, "import gradprox; gradprox.load_model('gray-small'); gradprox.example_image()")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        f"ModuleNotFoundError: gradprox needs the package {name}, which is not installed: `pip"
    )


def test_a_fault_of_our_own_is_not_blamed_on_a_package():
    done = python("gradprox.zoo", "import gradprox; gradprox.load_model")
    assert "gradprox.zoo" in done.stderr.splitlines()[-1]
    assert "needs the package" not in done.stderr


def test_a_part_that_gradprox_runtime_lacks_is_not_called_missing(monkeypatch):
    monkeypatch.setattr(sys.modules["gradprox.dependencies"], "RUNTIME_ONLY", True)
    monkeypatch.setitem(sys.modules, "gradprox.zoo", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"^gradprox.zoo is a part of gradprox, and only gradprox-runtime is"
    ):
        gradprox.load_model  # noqa: B018  the attribute is imported on first use
