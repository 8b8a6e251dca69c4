"""Public names stay; a name must be deprecated before it is removed (CONTRIBUTING.md, "Stability of public names")."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

from tests.modules import modules_of_packages
from tests.printed import README, ROOT, blocks

# All public names, one per line. A change of this file is a change of the public interface, for the changelog.
STORED = ROOT / "tests" / "public_names.txt"
# The names of these modules are public, because the reference shows them.
REFERENCED = (
    "gradprox.images.noise_estimation",
    "gradprox.solvers.deblurring",
    "gradprox.solvers.data_term",
    "gradprox.solvers.presets",
)


def packages():
    """Return the names of all packages that have an ``__all__``."""
    return [name for name in modules_of_packages() if hasattr(importlib.import_module(name), "__all__")]


def test_the_public_names_are_those_stored():
    found = {
        f"{package}.{name}" for package in packages() for name in importlib.import_module(package).__all__
    }
    stored = set(STORED.read_text(encoding="utf-8").split())
    assert sorted(found - stored) == [], "new public names: add them to tests/public_names.txt"
    assert sorted(stored - found) == [], "public names that are gone: deprecate them first (CONTRIBUTING.md)"


@pytest.mark.parametrize("package", packages())
def test_public_names_resolve_once_and_have_docstrings(package):
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, name


def test_the_reference_has_a_page_for_each_package():
    listed = {page.read_text().split()[1] for page in (ROOT / "docs" / "api").glob("*.md")}
    assert listed == set(packages())


def imports(code):
    """Yield the names that code imports from gradprox, each with its module."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gradprox"):
            for alias in node.names:
                yield node.module, alias.name


def shown_to_users():
    for page in (README, *(ROOT / "docs").rglob("*.md")):
        yield from (block.code for block in blocks(page) if block.language == "python")
    for script in (ROOT / "examples").rglob("*.py"):
        yield script.read_text(encoding="utf-8")


def test_what_users_are_shown_is_public():
    shown = [pair for code in shown_to_users() for pair in imports(code)]
    assert shown
    public_modules = {*packages(), *REFERENCED}
    for module, name in shown:
        assert module in public_modules, module
        public = getattr(importlib.import_module(module), "__all__", None)
        assert not name.startswith("_") if public is None else name in public, (module, name)
