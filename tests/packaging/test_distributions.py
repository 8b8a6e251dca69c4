"""Wheel and source distribution are complete, and run in a fresh environment outside the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement

from gradprox.export import export_denoiser
from gradprox.networks import IdentityPath, IdentityPathConfig, RidgeConfig
from gradprox.priors import LearnedProx
from gradprox.web.server import NPM, RUNTIME
from gradprox.zoo import model_names
from tests.printed import ROOT

pytestmark = pytest.mark.slow

IN_THE_PACKAGE = [
    "gradprox/py.typed",
    "gradprox/images/example.png",
    "gradprox/exported_models/gray-fast.onnx",
    *(f"gradprox/web/{name}" for name in ("index.html", "app.mjs")),
    *(f"gradprox/web/{NPM.as_posix()}/{name}" for name in RUNTIME),
    *(f"gradprox/zoo/{name}.{end}" for name in model_names() for end in ("safetensors", "json", "toml")),
]
JUNK = ("__pycache__", ".pyc", ".git", ".venv", "gradprox-demo", "build/", "runs/", ".part", "_cache")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """A folder with the source distribution and the wheel built from it, as by `python -m build`."""
    folder = tmp_path_factory.mktemp("distributions")
    source = folder / "source"
    left_out = shutil.ignore_patterns(
        ".git", ".venv", "build", "dist", "runs", "node_modules", "*.egg-info", "*_cache", "__pycache__"
    )
    shutil.copytree(ROOT, source, ignore=left_out)
    for name in RUNTIME:  # as after `npm ci --prefix web`
        (source / "web" / NPM).mkdir(parents=True, exist_ok=True)
        (source / "web" / NPM / name).touch()
    # Without isolation nothing is fetched, because the setuptools of this environment is used.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(source)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return folder / "dist"


def one(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


def test_the_wheel_holds_the_package_and_nothing_else(distributions):
    with zipfile.ZipFile(one(distributions, "*.whl")) as archive:
        names = archive.namelist()
    assert set(IN_THE_PACKAGE) <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"gradprox"}
    assert not [name for name in names for junk in JUNK if junk in name]


def test_the_source_distribution_can_be_tested_and_documented(distributions):
    with tarfile.open(one(distributions, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = ["pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "mkdocs.yml"]
    assert {
        *tracked,
        "docs/index.md",
        "docs/demo.jpg",
        "docs/hooks/tables.py",
        "tests/conftest.py",
        "web/package-lock.json",
    } <= names
    assert {"examples/deploy/Containerfile", "gradprox/images/example.png", "gradprox/py.typed"} <= names
    assert any(name.startswith("benchmarks/figures/") for name in names)
    assert not [name for name in names for junk in JUNK if junk in name]


def requirements(name):
    """Return the names of a distribution and of all its dependencies, without extras."""
    found, waiting = set(), [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needs = (Requirement(text) for text in metadata.requires(name) or ())
            waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate()]
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised by torch's exporter
def test_a_deployment_needs_numpy_and_onnxruntime_and_200_megabytes(distributions, tmp_path):
    # The wheel of gradprox without its dependencies, for scripts such as examples/deploy/denoise.py.
    site = tmp_path / "site"
    site.mkdir()
    for name in requirements("numpy") | requirements("onnxruntime"):
        here = metadata.distribution(name)
        tops = {file.parts[0] for file in here.files if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            source, target = Path(here.locate_file(top)), site / top
            if source.is_dir():
                shutil.copytree(
                    source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
                )
            else:
                shutil.copy(source, target)
    options = ("--no-deps", "--no-index", "--quiet", "--target", str(site))
    wheel = one(distributions, "*.whl")
    subprocess.run([sys.executable, "-m", "pip", "install", *options, wheel], check=True)
    assert sum(file.stat().st_size for file in site.rglob("*") if file.is_file()) <= 200e6

    small = IdentityPath(IdentityPathConfig(kernel_size=2, shrinkage=RidgeConfig(terms=1)))
    export_denoiser(LearnedProx(small), tmp_path / "denoiser.onnx")
    noisy = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    np.save(tmp_path / "noisy.npy", noisy)
    # -S hides all other installed packages.
    alone = {"cwd": tmp_path, "env": {"PYTHONPATH": str(site), "PATH": os.environ["PATH"]}}
    assert subprocess.run(
        [sys.executable, "-S", "-c", "import torch"], capture_output=True, **alone
    ).returncode
    command = [sys.executable, "-S", ROOT / "examples" / "deploy" / "denoise.py"]
    files = ["denoiser.onnx", "noisy.npy", "clean.npy"]
    subprocess.run([*command, *files, "--noise", "0.1"], check=True, **alone)
    expected = LearnedProx(small)(torch.from_numpy(noisy)[None, None], 0.1)[0, 0]
    np.testing.assert_allclose(np.load(tmp_path / "clean.npy"), expected.detach(), atol=2e-6)


@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_it_runs_in_a_fresh_environment(distributions, pattern, tmp_path):
    environment, elsewhere = tmp_path / "venv", tmp_path / "elsewhere"
    elsewhere.mkdir()
    venv.create(environment)  # without pip, so without a setuptools of its own
    programs = environment / ("Scripts" if os.name == "nt" else "bin")
    # Dependencies come from this environment. gradprox does not, because its own folder comes first.
    packages = [path for path in sys.path if path.endswith("site-packages")]
    inner = subprocess.run(
        [programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    Path(inner, "dependencies.pth").write_text("\n".join(packages) + "\n")

    def run(*command):
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(command, capture_output=True, text=True, cwd=elsewhere, env=clean, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    options = ("--no-deps", "--no-index", "--no-build-isolation", "--force-reinstall")
    pip = (sys.executable, "-m", "pip", "--python", programs / "python")
    run(*pip, "install", "--quiet", *options, one(distributions, pattern))
    where = run(
        programs / "python", "-c", "import gradprox.solvers; print(gradprox.solvers.__file__)"
    ).strip()
    assert Path(where).is_relative_to(inner)
    for name in model_names():
        assert name in run(programs / "gradprox", "models")
    run(programs / "gradprox", "demo", "--quiet", "--json", "demo.json")
    cases = json.loads((elsewhere / "demo.json").read_text())["cases"]
    assert all(case["psnr_after"] > case["psnr_before"] + 3 for case in cases)
    assert (elsewhere / "gradprox-demo" / "images.png").stat().st_size > 0
