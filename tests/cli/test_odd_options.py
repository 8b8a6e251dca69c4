"""Options and inputs that careful users try: each works, or is refused in one line that says what to do."""

from __future__ import annotations

import inspect
import json
import os
import re

import numpy as np
import pytest
import tifffile
import typer
from PIL import Image

from gradprox.cli import evaluate
from gradprox.cli.app import app
from gradprox.cli.paths import plan_outputs
from gradprox.images import EXAMPLE_IMAGE, read_gray
from gradprox.networks import EnergyGatedConfig, IdentityPath, IdentityPathConfig
from gradprox.physics import blur_of_images, disk_kernel
from gradprox.priors import save_network
from tests.reliability.test_damaged_files import RECIPE


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Small model files for one and for three channels, which cost nothing."""
    folder = tmp_path_factory.mktemp("models")
    for name, channels in (("one", 1), ("three", 3)):
        shrinkage = EnergyGatedConfig(window=3, terms=1)
        config = IdentityPathConfig(channels=channels, kernel_size=4, shrinkage=shrinkage)
        save_network(IdentityPath(config), folder / f"{name}.safetensors")
    return folder


@pytest.fixture
def folder(photo):
    """A folder of one gray and one color image, both small."""
    folder = photo.parent / "data"
    folder.mkdir()
    with Image.open(photo) as image:
        image.crop((0, 0, 40, 36)).save(folder / "gray.png")
        image.crop((0, 0, 40, 36)).convert("RGB").save(folder / "color.png")
    return folder


@pytest.fixture
def one_line(run):
    """Check that a command fails in one line with a code; return the line."""

    def one_line(*arguments, code=1):
        found, out, err = run(*arguments)
        assert found == code, (arguments, err)
        assert err.startswith("error: "), err
        assert err.count("\n") == 1, err
        assert "Traceback" not in out + err
        return err

    return one_line


def commands():
    for group, prefix in ((app, ()), (evaluate.app, ("evaluate",))):
        for command in group.registered_commands:
            name = command.callback.__name__.replace("_", "-")
            yield (*prefix, name), inspect.signature(command.callback).parameters


WITH_SEED = [words for words, parameters in commands() if "seed" in parameters]


def test_the_commands_with_a_seed_are_found():
    assert {("sense",), ("certify",), ("export",), ("evaluate", "cs")} <= {*WITH_SEED}


@pytest.mark.parametrize("words", WITH_SEED, ids=" ".join)
@pytest.mark.parametrize("seed", [str(2**64), "-1", "1.5", "1e3", "nan", "9" * 400])
def test_a_seed_out_of_range_is_wrong_usage(one_line, words, seed):
    assert "--seed" in one_line(*words, "--seed", seed, code=2)


@pytest.mark.parametrize(
    "words",
    [
        ("nothing",),
        ("sense", "--ratio", "much"),
        ("denoise",),
        ("denoise", "--nothing"),
        ("evaluate", "nothing"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_in_one_line(one_line, words):
    assert f"see `gradprox{' ' * (len(words) > 1 or words == ('denoise',))}" in one_line(*words, code=2)


def test_a_name_that_cannot_be_exported_is_answered_with_all_that_can(one_line, tmp_path):
    export = ("export", "gray-small", tmp_path / "out.onnx")
    assert "choose one of deblur, cs" in one_line(*export, "--solver", "pgd", "--problem", "inpainting")
    assert "choose one of deblur, cs" in one_line(*export, "--problem", "inpainting")
    assert "choose one of hqs, fista, nmapg, pgd, gd" in one_line(*export, "--solver", "admm")


def test_flags_have_no_type_in_help(run):
    for words in (("--help",), ("denoise", "--help"), ("evaluate", "--help"), ("evaluate", "cs", "--help")):
        assert "bool" not in run(*words)[1]


def test_examples_are_lines_of_their_own_in_help(run):
    commands = re.findall(r"^│ ([a-z-]+)  ", run("--help")[1].partition("Commands")[2], flags=re.M)
    assert {"models", "denoise", "estimate-kernel"} < {*commands}
    groups = {"evaluate": ("denoise", "deblur", "cs")}
    for words in [words for name in commands for words in ([name, task] for task in groups.get(name, ("",)))]:
        example = rf"^ {{3}}gradprox {' '.join(words).strip()} "
        assert re.search(example, run(*filter(None, words), "--help")[1], flags=re.M), words


def test_the_shell_completes_names():
    from gradprox.cli import model_choice, options
    from gradprox.physics import BOUNDARIES, SAMPLINGS
    from gradprox.solvers.presets import SOLVERS
    from gradprox.zoo import model_names

    assert options.SOLVERS == SOLVERS
    assert options.BOUNDARIES == BOUNDARIES
    assert options.SAMPLINGS == SAMPLINGS
    assert model_choice.complete_models("") == model_names()
    assert options.completed(SOLVERS)("h") == ["hqs"]
    completing = {"model", "solver", "problem", "boundary", "sampling", "kernel", "device", "recipe"}
    for command in typer.main.get_command(app).commands.values():
        for each in (command, *getattr(command, "commands", {}).values()):
            for param in each.params:
                if param.name in completing:
                    assert param._custom_shell_complete is not None, (each.name, param.name)


@pytest.mark.parametrize(
    "words",
    [
        ("deblur", "{photo}", "{photo}", "--kernel", "disk:1", "-o", "{out}/"),
        ("recover", "{measured}", "-o", "{out}/"),
        ("evaluate", "deblur", "--data", "{data}", "--kernel", "disk:1"),
        ("evaluate", "cs", "--data", "{data}"),
    ],
    ids=lambda words: words[0] + words[1].strip("{}"),
)
def test_a_solver_that_does_not_take_a_model_is_told_once(one_line, photo, folder, tmp_path, words):
    measured = tmp_path / "measured.npz"
    measured.touch()  # it is not read
    places = {"photo": photo, "data": folder, "out": tmp_path / "out", "measured": measured}
    words = [word.format(**places) for word in words]
    said = one_line(*words, "--model", "gray-deep", "--solver", "fista")
    assert "--solver fista" in said
    assert "use --solver hqs or gd or nmapg" in said
    assert "photo.png" not in said


def test_the_largest_seed_works(run, photo, tmp_path, models):
    seed = ("--seed", 2**64 - 1)
    for sampling in ("hadamard", "dct", "fourier", "structured", "block-gaussian"):
        y = tmp_path / f"{sampling}.npz"
        assert run("sense", photo, "--sampling", sampling, "--noise", "0.01", "-o", y, *seed)[0] == 0
        assert (
            run(
                "recover", y, "--steps", 1, "--model", models / "one.safetensors", "-o", y.with_suffix(".png")
            )[0]
            == 0
        )
    size = ("--size", 8, "--points", 1, "--device", "cpu")
    assert run("certify", models / "one.safetensors", *size, *seed)[0] == 0
    assert (
        run("evaluate", "denoise", "--data", photo.parent, "--model", models / "one.safetensors", *seed)[0]
        == 0
    )


def test_a_folder_may_have_a_dot_in_its_name(run, one_line, photo, models, tmp_path):
    denoise = ("denoise", photo, "--noise", "0.1", "--model", models / "one.safetensors", "-o")
    assert run(*denoise, f"{tmp_path}/out.v2/")[0] == 0
    assert (tmp_path / "out.v2" / "photo.png").is_file()
    assert run(*denoise, f"{tmp_path}/a.b/c.png/")[0] == 0  # a slash decides, whatever the name
    assert (tmp_path / "a.b" / "c.png" / "photo.png").is_file()
    assert run(*denoise, tmp_path / "out.v2", "--overwrite")[0] == 0  # it is there
    second = tmp_path / "second.png"
    second.write_bytes(photo.read_bytes())
    several = ("denoise", second, *denoise[1:])
    assert run(*several, tmp_path / "out.v3")[0] == 0
    assert sorted(path.name for path in (tmp_path / "out.v3").iterdir()) == ["photo.png", "second.png"]
    assert "folder" in one_line(*several, tmp_path / "one.png")
    assert "unknown image format" in one_line(*denoise, tmp_path / "typo.jpgg")
    (tmp_path / "file.v2").write_text("precious")
    assert "file.v2" in one_line(*several, tmp_path / "file.v2")
    assert (tmp_path / "file.v2").read_text() == "precious"


def test_folders_of_measurements_and_charts_may_have_a_dot_too(run, photo, models, tmp_path):
    model = ("--model", models / "one.safetensors")
    assert run("sense", photo, "-o", f"{tmp_path}/y.v2/")[0] == 0
    assert run("recover", tmp_path / "y.v2", "--steps", 1, *model, "-o", f"{tmp_path}/back.v2/")[0] == 0
    assert (tmp_path / "back.v2" / "photo.png").is_file()
    target = ("-o", tmp_path / "o.png", "--uncertainty", f"{tmp_path}/charts.v2/")
    assert run("denoise", photo, "--noise", "0.1", *model, *target)[0] == 0
    assert (tmp_path / "charts.v2" / "photo.png").is_file()


def test_outputs_of_inputs_that_cannot_be_written_in_their_own_format_are_png(tmp_path):
    inputs = [tmp_path / name for name in ("a.gif", "b.png", "c", "d.jp2")]
    pairs = plan_outputs(inputs, f"{tmp_path}/out/").pairs
    assert [target.name for _, target in pairs] == ["a.png", "b.png", "c.png", "d.png"]
    clash = plan_outputs([tmp_path / "a.gif", tmp_path / "a.png"], tmp_path / "out")
    assert [*clash.refused] == [tmp_path / "a.png"]


QUIET = {
    ("demo",): None,  # half a minute; it prints by the same switch
    ("deblur",): ("{photo}", "--kernel", "disk:1", "--steps", "1", "--model", "{one}", "-o", "{tmp}/x.png"),
    ("denoise",): ("{photo}", "{photo}", "--model", "{one}", "-o", "{tmp}/out"),
    ("sense",): ("{photo}", "-o", "{tmp}/y.npz"),
    ("recover",): ("{tmp}/given.npz", "--steps", "1", "--model", "{one}", "-o", "{tmp}/x.png"),
    ("train",): (
        "--recipe",
        "{tmp}/r.toml",
        "--data",
        "{data}",
        "--validation",
        "{data}",
        "--out",
        "{tmp}/run",
    ),
    ("models",): (),
    ("export",): None,  # tests/export
    ("verify",): None,
    ("certify",): ("{one}", "--size", "8", "--points", "1", "--device", "cpu"),
    ("kernel",): ("disk:2", "-o", "{tmp}/k.png"),
    ("estimate-kernel",): ("{blurred}", "--family", "disk", "-o", "{tmp}/k.npy"),
    ("bench",): None,
    ("web",): None,  # runs until Ctrl-C, see test_web.py
    ("evaluate", "denoise"): ("--data", "{data}", "--model", "{one}"),
    ("evaluate", "deblur"): ("--data", "{data}", "--kernel", "disk:1", "--steps", "1", "--model", "{one}"),
    ("evaluate", "cs"): ("--data", "{data}", "--steps", "1", "--model", "{one}"),
}


def test_every_command_is_tried_for_quiet():
    assert {words for words, _ in commands()} == QUIET.keys()


@pytest.mark.parametrize(
    "words", [words for words, given in QUIET.items() if given is not None], ids=" ".join
)
def test_quiet_is_quiet(run, photo, folder, models, tmp_path, words):
    run("sense", photo, "-o", tmp_path / "given.npz")
    (tmp_path / "r.toml").write_text(RECIPE)
    blurred = blur_of_images("valid", disk_kernel(3.0), (200, 200), 1).A(
        read_gray(EXAMPLE_IMAGE)[..., :200, :200]
    )
    np.save(tmp_path / "blurred.npy", blurred[0, 0].numpy())
    places = {"photo": photo, "data": folder, "one": models / "one.safetensors", "tmp": tmp_path}
    places["blurred"] = tmp_path / "blurred.npy"
    arguments = [argument.format(**places) for argument in QUIET[words]]
    assert run(*words, *arguments, "--quiet") == (0, "", "")


def test_the_scale_of_an_image_is_that_of_its_file_not_of_its_light(run, one_line, models, tmp_path):
    pixels = np.random.default_rng(0).random((24, 26)).astype(np.float32)
    pixels[3, 4] = 5.0  # a highlight, whose light is 38 times white
    np.save(tmp_path / "bright.npy", pixels)
    np.save(tmp_path / "bytes.npy", 21 * pixels)
    deblur = ("--kernel", "disk:1", "--noise", "0.01", "--steps", 1, "--model", models / "one.safetensors")
    for light in ((), ("--linear-light",)):
        out = tmp_path / f"out{len(light)}.npy"
        assert run("deblur", tmp_path / "bright.npy", *deblur, *light, "-o", out)[0] == 0
        assert "bytes.npy: values reach 105" in one_line(
            "deblur", tmp_path / "bytes.npy", *deblur, *light, "-o", out, "--overwrite"
        )


def test_images_of_another_scale_are_refused_everywhere(run, one_line, models, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    values = 255 * np.random.default_rng(0).random((36, 40)).astype(np.float32)
    tifffile.imwrite(data / "a.tif", values)
    model = ("--model", models / "one.safetensors")
    out = ("-o", tmp_path / "out")
    for arguments in (
        ("denoise", data, *model, *out),
        ("denoise", data, "--noise", "0.1", *model, *out),
        ("deblur", data, "--kernel", "disk:1", *model, *out),
        ("sense", data, *out),
        ("evaluate", "denoise", "--data", data, *model),
        ("evaluate", "deblur", "--data", data, "--kernel", "disk:1", *model),
        ("evaluate", "cs", "--data", data, *model),
    ):
        assert "a.tif: values reach 25" in one_line(*arguments), arguments
    # Measurements of such an image, made elsewhere.
    tifffile.imwrite(data / "a.tif", values / 255)
    assert run("sense", data / "a.tif", "-o", tmp_path / "y.npz")[0] == 0
    with np.load(tmp_path / "y.npz") as archive:
        arrays = dict(archive)
    np.savez(tmp_path / "large.npz", **{**arrays, "y": 255 * arrays["y"]})
    said = one_line("recover", tmp_path / "large.npz", *model, "-o", tmp_path / "x.png")
    assert "large.npz: values reach" in said
    tifffile.imwrite(data / "a.tif", -values)
    assert "values reach -25" in one_line("sense", data, *out)


@pytest.mark.parametrize("task", ["denoise", "deblur", "cs"])
@pytest.mark.parametrize("name", ["one", "three"])
def test_the_model_decides_the_channels_of_an_evaluation(run, folder, models, tmp_path, task, name):
    more = {"denoise": (), "deblur": ("--kernel", "disk:1", "--steps", 1), "cs": ("--steps", 1)}[task]
    report = tmp_path / "report.json"
    if name == "three":
        (folder / "gray.png").unlink()
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (36, 40, 3), np.uint8)).save(
            folder / "color.png"
        )
    given = (
        "evaluate",
        task,
        "--data",
        folder,
        "--model",
        models / f"{name}.safetensors",
        "--json",
        report,
        *more,
    )
    assert run(*given)[0] == 0
    content = json.loads(report.read_text())
    assert content["settings"]["color"] is (name == "three")
    assert len(content["images"]) == (1 if name == "three" else 2)
    assert run(*given, "--color")[0] == 0
    assert json.loads(report.read_text())["settings"]["color"] is True


@pytest.mark.parametrize("name", ["gray.png", "color.png"])
def test_gray_images_are_not_evaluated_with_a_color_model(one_line, folder, models, name):
    for path in folder.iterdir():
        if path.name != name:
            path.unlink()
    said = one_line("evaluate", "denoise", "--data", folder, "--model", models / "three.safetensors")
    assert f"{name}: is gray" in said
    assert "evaluate a gray model" in said


def test_a_missing_kernel_is_told_how_to_be_found(one_line, photo):
    said = one_line("evaluate", "deblur", "--data", photo.parent, code=2)
    for taught in ("--kernel", "gaussian:", "motion:", "disk:", "gradprox kernel", ".npy"):
        assert taught in said


def test_names_of_any_legal_length_are_written(run, one_line, photo, models, tmp_path):
    # The temporary file beside an output has a longer name than the output.
    denoise = ("denoise", photo, "--noise", "0.1", "--model", models / "one.safetensors", "-o")
    for stem in ("a" * 251, "\N{LATIN SMALL LETTER E WITH ACUTE}" * 125):
        target = tmp_path / f"{stem}.png"
        leftover = tmp_path / f".{stem.encode()[:236].decode(errors='ignore')}.0123abcd.part.png"
        leftover.touch()
        assert run(*denoise, target, "--resume")[0] == 0
        assert target.is_file()
        assert not leftover.exists()
    said = one_line(*denoise, tmp_path / f"{'a' * 300}.png")
    assert ".part" not in said


def test_places_that_cannot_be_written_are_refused_before_the_work(one_line, photo, models, tmp_path):
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.touch()
    model = ("--model", models / "one.safetensors")
    one = ("denoise", photo, "--noise", "0.1", *model, "-o", tmp_path / "out.png")
    assert "is a folder" in one_line(*one, "--json", folder)
    assert "no JSON file" in one_line(*one, "--json", photo)
    assert "an output has this name too" in one_line(*one, "--json", tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
    assert "is a file, not a folder" in one_line(*one[:-1], file / "out.png")
    assert "is a file, not a folder" in one_line(*one[:-1], file)
    assert "is a file, not a folder" in one_line("demo", "--out", file)
    assert "is a file, not a folder" in one_line(
        "train", "--recipe", "gray", "--data", tmp_path, "--out", file
    )
    assert "different names" in one_line(*one, "--uncertainty", tmp_path / "out.png")
    assert "is empty" in one_line(*one[:-1], "")


def test_the_figures_replace_no_output(one_line, tmp_path):
    kernel = tmp_path / "k.png"
    assert "no JSON file" in one_line("kernel", "disk:1", "-o", kernel, "--json", kernel)
    assert kernel.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", [("--sampling", "nope"), ("--ratio", "2")])
def test_settings_of_an_evaluation_are_refused_before_the_first_image(one_line, photo, option):
    assert "photo.png" not in one_line("evaluate", "cs", "--data", photo.parent, *option)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written(one_line, photo, models, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    said = one_line("denoise", photo, "--model", models / "one.safetensors", "-o", locked / "out.png")
    assert "ermission" in said
