"""gradprox-runtime: built without network, it restores as gradprox does in a process that cannot import torch."""

from __future__ import annotations

import ast
import json
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from gradprox.cli.app import main
from gradprox.export.graph.problem import Deblurring
from gradprox.export.graph.recipe import recipe_in, recipe_of
from gradprox.export.runtime import container
from gradprox.exported_models import FOLDER, MODELS
from gradprox.images import EXAMPLE_IMAGE, ImageData, example_image, write_image
from gradprox.images.metadata import NO_METADATA, Metadata
from gradprox.images.srgb import to_linear_light
from gradprox.physics import ValidBlur, gaussian_noise, motion_kernel
from gradprox.solvers.presets import Task
from gradprox.zoo import read_card
from tests.printed import ROOT, blocks, lay_out_images

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RUNTIME = ROOT / "runtime"
ABSENT = ("torch", "deepinv", "scipy", "onnx", "onnxscript", "safetensors", "matplotlib", "imagecodecs")
HIDE = f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))\n"  # importing them fails
COMMAND = "from gradprox.cli.runtime.app import main; sys.argv[0] = 'gradprox-runtime'; main()"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as by ``pip wheel ./runtime``, with the setuptools of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, RUNTIME]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = folder.glob("gradprox_runtime-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with nothing but the content of the wheel."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", site]
    subprocess.run([*command, wheel], check=True)
    return site


@pytest.fixture
def python(installed, tmp_path):
    """Run a program without torch in ``tmp_path``; return exit code, standard output and standard error."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    # With -S Python reads no .pth file, so it finds the wheel's gradprox and no other.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(installed), *packages]), "COLUMNS": "200"}

    def run(program, *arguments):
        command = [sys.executable, "-S", "-c", HIDE + program, *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def runtime(python):
    """Run the command, in the same way."""
    return partial(python, COMMAND)


@pytest.fixture
def with_torch(monkeypatch, tmp_path):
    """Run ``gradprox`` in ``tmp_path``."""

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["gradprox", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit_:
            main()
        assert not exit_.value.code

    return run


@pytest.fixture
def photos(tmp_path):
    """A gray and a color photo of 8 bits, with their color profile and comment, and an array."""
    with Image.open(EXAMPLE_IMAGE) as image:
        small = image.convert("RGB").crop((60, 60, 124, 108))
    small.save(tmp_path / "color.png", dpi=(300, 300))
    small.convert("L").save(tmp_path / "gray.jpg", quality=95, comment=b"a cat")
    np.save(tmp_path / "array.npy", example_image(gray=True)[0, 0, 60:108, 60:124].numpy())
    return tmp_path


def pixels(path):
    if path.suffix == ".npy":
        return np.load(path)
    with Image.open(path) as image:
        return np.asarray(image, dtype=float)


def test_help_names_the_commands_and_loads_nothing_large(runtime, installed):
    code, out, _ = runtime("--help")
    assert code == 0
    assert "denoise" in out
    assert "deblur" in out
    program = "import gradprox.cli.runtime.app, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=installed
    ).stdout.split()
    assert {"typer", "gradprox.cli.runtime.denoise"} <= {*loaded}
    assert not {"numpy", "onnxruntime", "PIL"} & {*loaded}


@pytest.mark.parametrize(
    ("name", "model", "options"),
    [
        ("array.npy", "gray-fast", ("--noise", "15/255")),
        ("array.npy", "gray-fast", ()),
        ("color.png", "color-fast", ("--noise", "15/255")),
        ("gray.jpg", "gray-fast", ()),
    ],
)
def test_denoise_equals_gradprox(runtime, with_torch, photos, name, model, options):
    suffix = Path(name).suffix
    code, _, err = runtime("denoise", name, *options, "-o", f"lean{suffix}")
    assert (code, err) == (0, "")
    with_torch("denoise", name, *options, "--model", model, "-o", f"full{suffix}", "--quiet")
    lean, full = photos / f"lean{suffix}", photos / f"full{suffix}"
    np.testing.assert_allclose(pixels(lean), pixels(full), rtol=0, atol=1e-5)
    if suffix != ".npy":
        assert lean.read_bytes() == full.read_bytes()  # with the same metadata


@pytest.mark.parametrize(
    ("name", "model", "options"),
    [
        ("blurred.npy", "gray-fast", ("--kernel", "motion:9:45", "--noise", "0.02")),
        ("blurred.npy", "gray-fast", ("--kernel", "kernel.npy", "--linear-light", "--steps", "3")),
        ("blurred.png", "color-fast", ("--kernel", "motion:9:45", "--noise", "0.02", "--strength", "0.8")),
        ("blurred.png", "color-fast", ("--kernel", "gaussian:1.5", "--noise", "0.02", "--no-clipping")),
        ("camera.png", "color-fast", ("--kernel", "motion:9:45", "--steps", "3")),
    ],
)
def test_deblur_equals_gradprox(runtime, with_torch, photos, name, model, options):
    suffix, kernel = Path(name).suffix, motion_kernel(9, 45)
    np.save(photos / "kernel.npy", kernel[0, 0].numpy())
    clean = example_image(gray=name.endswith(".npy"))[..., 60:116, 60:132]
    y = ValidBlur(kernel, (56, 72)).A(clean)
    y = y + gaussian_noise(y, 0.02, torch.Generator().manual_seed(0))
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[int(ExifTags.Base.ExposureTime)] = 0.01
    metadata = Metadata(exif=exif.tobytes()) if name.startswith("camera") else NO_METADATA
    write_image(photos / name, ImageData(y, 32 if suffix == ".npy" else 8, None, metadata))
    code, _, err = runtime("deblur", name, *options, "-o", f"lean{suffix}", "--json", "lean.json")
    assert code == 0
    assert err == ""
    more = ("--model", model, "--quiet", "--json", "full.json")
    with_torch("deblur", name, *options, *more, "-o", f"full{suffix}")
    lean, full = (pixels(photos / f"{kind}{suffix}") for kind in ("lean", "full"))
    if "--linear-light" in options:
        # The solver works on light. Near black, the curve of sRGB makes differences 13 times as large.
        lean, full = to_linear_light(lean), to_linear_light(full)
    if suffix == ".npy":
        np.testing.assert_allclose(lean, full, rtol=0, atol=1e-5)
    else:
        # A difference of 1e-5 is 1/400 of a gray level, so about as many pixels are rounded to the next one.
        assert np.abs(lean - full).max() <= 1
        assert (lean != full).mean() < 0.01
    lean, full = (json.loads((photos / f"{kind}.json").read_text())["images"][0] for kind in ("lean", "full"))
    # Noise made some pixels black, which a floating-point file keeps below black.
    assert ("clipped_pixels" in lean) == (suffix == ".png" and "--no-clipping" not in options)
    assert lean["linear_light"] is (name.startswith("camera") or "--linear-light" in options)
    shared = ("linear_light", "linear_light_reason", "steps", "warm_start_steps", "status", "solver")
    for figure in (*shared, "estimated_noise", "clipped_pixels"):
        assert lean.get(figure) == pytest.approx(full.get(figure)), figure


def test_folders_are_resumed_and_existing_files_kept(runtime, photos):
    assert runtime("denoise", ".", "--noise", "0.1", "-o", "out/")[0] == 0
    assert sorted(path.name for path in (photos / "out").iterdir()) == ["color.png", "gray.jpg"]
    code, _, err = runtime("denoise", "color.png", "--noise", "0.1", "-o", "out/")
    assert code == 1
    assert "exists already: add --overwrite" in err
    (photos / "out" / "gray.jpg").unlink()
    code, out, _ = runtime("denoise", ".", "--noise", "0.1", "-o", "out/", "--resume", "--workers", "2")
    assert code == 0
    assert "1 done, 1 skipped" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("denoise", "none.png", "-o", "out.png"), 1, "none.png: no such file"),
        (("denoise", "color.png", "--noise", "25", "-o", "out.png"), 1, "write gray levels as 25/255"),
        (
            ("denoise", "color.png", "-o", "out.png", "--model", "gray"),
            1,
            "choose one of gray-fast, color-fast",
        ),
        (
            ("denoise", "gray.jpg", "-o", "out.png", "--model", "color-fast"),
            1,
            "restores 3 channels together",
        ),
        (("denoise", "color.png", "-o", "out.png", "--provider", "cuda"), 1, "provider cuda"),
        (("deblur", "color.png", "-o", "out.png"), 2, "--kernel is missing"),
        (("recover", "y.npz", "-o", "out.png"), 2, "--model is missing"),
        (("recover", "y.npz", "-o", "out.png", "--model", "gray-fast"), 1, "none is shipped for recover"),
        (("deblur", "color.png", "-o", "out.png", "--kernel", "auto"), 1, "--kernel auto: only gradprox"),
        (("deblur", "color.png", "-o", "out.png", "--kernel", "disk"), 1, "--kernel disk: "),
        (
            ("denoise", "color.png", "-o", "out.png", "--noise", "gain:1,read:0"),
            1,
            "denoise and deblur of gradprox",
        ),
        (("deblur", "color.png", "-o", "out.png", "--kernel", "k.mat"), 1, "pip install scipy"),
        (("denoise", "deep.png", "-o", "out.png"), 1, "pip install imagecodecs"),
    ],
)
def test_errors_are_one_line(runtime, photos, arguments, code, message):
    (photos / "k.mat").write_bytes(b"MATLAB")
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(photos / "deep.png")
    found, out, err = runtime(*arguments)
    assert (found, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not (photos / "out.png").exists()


def test_the_help_of_recover_names_no_shipped_model(runtime):
    code, out, _ = runtime("recover", "--help")
    assert code == 0
    assert "required" in out
    assert "gray-fast" not in out


def test_verify_and_bench_run_shipped_files(runtime, installed, photos):
    models = installed / "gradprox" / "exported_models"
    for name in ("gray-fast.onnx", "color-fast-deblur.onnx"):
        code, out, err = runtime("verify", models / name)
        assert (code, err) == (0, "")
        assert "complete and unchanged\nruns here on cpu: " in out
    code, out, err = runtime("verify", "gray-fast")
    assert (code, err) == (0, "")
    assert out.count("complete and unchanged\nruns here on cpu: ") == 2
    content = bytearray((models / "gray-fast.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (photos / "changed.onnx").write_bytes(content)
    code, _, err = runtime("verify", "changed.onnx")
    assert code == 1
    assert err.startswith("error: changed.onnx: ")
    assert err.count("\n") == 1
    code, _, err = runtime("bench", "gray-fast", "--size", "16", "--json", "speed.json", "--quiet")
    assert (code, err) == (0, "")
    runs = json.loads((photos / "speed.json").read_text())["runs"]
    assert [(run["model"], run["threads"]) for run in runs] == [("gray-fast", 1), ("gray-fast", 2)]


def test_the_readme_runs_as_printed(runtime, python, tmp_path):
    lay_out_images(tmp_path, 48)
    shutil.copy(FOLDER / "color-fast.onnx", tmp_path / "denoiser.onnx")
    printed = blocks(RUNTIME / "README.md")
    lines = [
        line.partition("gradprox-runtime ") for b in printed if b.language == "sh" for line in b.commands
    ]
    commands = [shlex.split(words) for _, _, words in lines if words]
    assert [words[0] for words in commands] == ["denoise", "deblur"]
    for words in commands:
        assert runtime(*words)[0] == 0
    (tmp_path / "clean.png").unlink()
    (script,) = (block.code for block in printed if block.language == "python")
    code, _, err = python(script)
    assert (code, err) == (0, "")
    assert (tmp_path / "clean.png").stat().st_size > 0


@pytest.mark.slow
def test_the_demo_gains_as_much_as_it_says(runtime, tmp_path):
    code, out, _ = runtime("demo", "--out", "demo", "--json", "demo.json")
    assert code == 0
    assert "deblurring" in out
    cases = json.loads((tmp_path / "demo.json").read_text())["cases"]
    assert {case["name"] for case in cases} == {"denoising", "deblurring"}
    assert all(case["psnr_after"] > case["psnr_before"] + 3 for case in cases)
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {
        f"{case}-{kind}.png" for case in ("denoising", "deblurring") for kind in ("before", "after")
    }


@pytest.mark.slow
def test_the_exported_models_can_be_made_again(tmp_path):
    runpy.run_path(str(RUNTIME / "make_models.py"))["make_models"](tmp_path)
    for file in FOLDER.iterdir():
        stored, again = container.read(file), container.read(tmp_path / file.name)
        assert {*stored[1]} == {*again[1]}
        assert stored[1]["weights_sha256"] == again[1]["weights_sha256"]


def test_the_wheel_holds_only_modules_that_import_each_other_or_what_it_requires(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sources = {name: archive.read(name) for name in archive.namelist() if name.endswith(".py")}
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources}
    allowed = {"numpy", "onnxruntime", "PIL", "rich", "tifffile", "typer", *sys.stdlib_module_names}
    optional = {"imagecodecs", "pillow_heif", "ray", "torch"}
    for name, source in sources.items():
        for imported in imports(ast.parse(source)):
            top = imported.partition(".")[0]
            assert imported in modules or top in allowed | optional, f"{name} imports {imported}"
            assert top != "torch" or name == "gradprox/images/tensors.py", f"{name} imports torch"


def test_the_import_rule_covers_the_selected_modules():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rule,) = (contract for contract in contracts if "gradprox-runtime" in contract["name"])
    packages = runpy.run_path(str(RUNTIME / "selection.py"))["PACKAGES"]
    selected = {package for package, (_, modules) in packages.items() if modules == ("*",)}
    for package, (_, modules) in packages.items():
        selected |= {f"{package}.{module}" for module in modules} - {f"{package}.*", f"{package}.__init__"}
    assert {*rule["source_modules"]} == selected
    assert "torch" in rule["forbidden_modules"]


def imports(node):
    """Yield the modules that a module imports when it runs, those imported for types alone left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield child.module
        yield from imports(child)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_the_exported_models_are_those_of_the_zoo(model):
    for task in model.tasks:
        _, metadata = container.read(model.file(task))
        assert metadata["weights_sha256"] == read_card(model.name).sha256
        assert metadata["name"] == model.name
        if task == "deblur":
            stored = recipe_in(metadata, Deblurring("valid"), model.name)
            assert stored == recipe_of(Task.DEBLUR), "make the models again: python runtime/make_models.py"
