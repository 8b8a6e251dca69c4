"""The command line as people meet it: what it writes, what it refuses, with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gradprox
from gradprox.cli.app import app
from gradprox.images import EXAMPLE_IMAGE
from gradprox.zoo import model_names


@pytest.fixture
def clear(run, tmp_path):
    """Check that a command fails in one line, with code 1, and leaves nothing behind."""

    def clear(*arguments):
        before = {p.name for p in tmp_path.rglob("*")}
        code, out, err = run(*arguments)
        assert code == 1
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert "Traceback" not in out + err
        assert {p.name for p in tmp_path.rglob("*")} == before
        return err

    return clear


def psnr(path, reference):
    def pixels(p):
        with Image.open(p) as image:
            return np.asarray(image, dtype=float) / 255

    return -10 * np.log10(((pixels(path) - pixels(reference)) ** 2).mean())


def test_help_answers_at_once():
    def seconds():
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "gradprox", "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert "deblur" in done.stdout
        assert " torch" not in done.stderr
        assert " deepinv" not in done.stderr
        return time.perf_counter() - began

    assert seconds() < 30  # what matters is above: neither torch nor deepinv is imported


COMMANDS = [command.callback.__name__.replace("_", "-") for command in app.registered_commands]


@pytest.mark.parametrize(
    "command", [(name,) for name in COMMANDS] + [("evaluate", task) for task in ("denoise", "deblur", "cs")]
)
def test_every_command_explains_itself(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "Usage: gradprox" in out
    assert f"gradprox {' '.join(command)} " in out.split("Example")[1]
    assert "--json" in out
    assert "--quiet" in out


def test_version_and_completion(run):
    assert run("--version")[:2] == (0, f"gradprox {gradprox.__version__}\n")
    assert "--install-completion" in run("--help")[1]


def test_no_color_in_a_pipe(run):
    for arguments in (("models",), ("--help",), ("denoise", "nothing.png", "-o", "x.png")):
        _, out, err = run(*arguments)
        assert "\x1b" not in out + err


def test_denoise_removes_noise(run, photo, tmp_path):
    clean = np.asarray(Image.open(photo), dtype=float)
    noisy = clean + 25 * np.random.default_rng(0).standard_normal(clean.shape)
    Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8)).save(tmp_path / "noisy.png")
    code, out, _ = run("denoise", tmp_path / "noisy.png", "--noise", "25/255", "-o", tmp_path / "out.png")
    assert code == 0
    assert "noisy.png ->" in out
    assert psnr(tmp_path / "out.png", photo) > psnr(tmp_path / "noisy.png", photo) + 5


@pytest.mark.parametrize("solver", [None, "hqs", "fista", "pgd", "gd", "admm", "drs", "nmapg"])
def test_deblur_restores(run, photo, tmp_path, solver):
    from gradprox.images import ImageData, read_image, write_image
    from gradprox.physics import CircularBlur, read_kernel

    pixels = read_image(photo).pixels
    blurred = CircularBlur(read_kernel("gaussian:1.6"), tuple(pixels.shape[-2:])).A(pixels)
    write_image(tmp_path / "blurred.png", ImageData(blurred))
    more = () if solver is None else ("--solver", solver)
    code, _, _ = run(
        "deblur", tmp_path / "blurred.png", "--kernel", "gaussian:1.6", "--noise", "0.005", "--boundary", "circular",
        "--steps", 10, "-o", tmp_path / "sharp.png", "--json", tmp_path / "report.json", *more,
    )  # fmt: skip
    assert code == 0
    assert psnr(tmp_path / "sharp.png", photo) > psnr(tmp_path / "blurred.png", photo) + 1
    (record,) = json.loads((tmp_path / "report.json").read_text())["images"]
    assert record["objective_increases"] == 0
    assert record["status"] in {"converged", "max_iter"}


def test_denoise_draws_how_uncertain_it_is(run, clear, tmp_path):
    generator = np.random.default_rng(0)
    texture = 125 + 60 * (np.arange(24) >= 12) * generator.choice([-1, 1], (20, 24))
    noisy, clean, chart = (tmp_path / f"{name}.png" for name in ("noisy", "clean", "chart"))
    pixels = texture + 25 * generator.standard_normal(texture.shape)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(noisy)
    report = tmp_path / "report.json"
    arguments = (
        "denoise",
        noisy,
        "--noise",
        "25/255",
        "--model",
        "gray",
        "-o",
        clean,
        "--uncertainty",
        chart,
    )
    assert run(*arguments, "--json", report)[0] == 0
    with Image.open(chart) as image:
        drawn = np.asarray(image)
    assert drawn.shape == texture.shape
    # Flat parts are sure, texture is not.
    assert drawn[:, 14:22].mean() > 1.5 * drawn[:, 2:6].mean()
    (record,) = json.loads(report.read_text())["images"]
    assert 0 < record["mean_deviation_error"] < record["mean_deviation"] < 25 / 255
    clean.unlink()
    assert "--overwrite" in clear(*arguments)
    two = ("denoise", noisy, EXAMPLE_IMAGE, "--noise", "0.1", "-o", tmp_path / "out")
    assert "folder" in clear(*two, "--uncertainty", tmp_path / "x.png")
    same = ("denoise", noisy, "--noise", "0.1", "-o", clean, "--uncertainty", clean)
    assert "different names" in clear(*same)
    charts = tmp_path / "charts"
    charts.mkdir()
    (charts / "noisy.png").write_bytes(b"precious")
    into_folder = ("denoise", noisy, "--noise", "0.1", "-o", clean, "--uncertainty", charts)
    assert "--overwrite" in clear(*into_folder)
    assert (charts / "noisy.png").read_bytes() == b"precious"
    assert "without noise" in clear(
        "denoise", noisy, "--noise", "0", "-o", clean, "--uncertainty", tmp_path / "u.png"
    )


def test_several_photos_go_into_a_folder_and_a_bad_one_stops_no_other(run, photo, tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    code, _, err = run(
        "denoise",
        tmp_path / "text.png",
        photo,
        "--noise",
        "0.05",
        "-o",
        tmp_path / "out",
        "--json",
        tmp_path / "r.json",
    )
    assert code == 1
    assert "text.png: not an image" in err
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["photo.png"]
    assert len(json.loads((tmp_path / "r.json").read_text())["images"]) == 2


def test_outputs_are_replaced_only_when_asked(run, clear, photo, tmp_path):
    target = tmp_path / "out.png"
    target.write_text("precious")
    assert "--overwrite" in clear("denoise", photo, "--noise", "0.05", "-o", target)
    assert target.read_text() == "precious"
    assert run("denoise", photo, "--noise", "0.05", "-o", target, "--overwrite")[0] == 0
    with Image.open(target) as replaced:
        assert replaced.size == (64, 48)


@pytest.mark.parametrize("sampling", ["hadamard", "dct", "fourier", "structured", "block-gaussian", "file"])
def test_sense_and_recover(run, photo, tmp_path, sampling):
    from gradprox.physics import gaussian_matrix

    if sampling == "file":
        np.save(tmp_path / "matrix.npy", gaussian_matrix(100, seed=3, block=16).numpy())
        sampling = tmp_path / "matrix.npy"
    assert run("sense", photo, "--ratio", "0.4", "--sampling", sampling, "-o", tmp_path / "y.npz")[0] == 0
    code, out, _ = run("recover", tmp_path / "y.npz", "-o", tmp_path / "back.png", "--steps", 20)
    assert code == 0
    assert "steps" in out
    assert psnr(tmp_path / "back.png", photo) > 22


def test_evaluate_reports_what_the_contract_says(run, photo, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    photo.rename(folder / "photo.png")
    np.savez(tmp_path / "k.npz", k1=np.ones((3, 3)), k2=np.ones((1, 5)))
    for arguments in (
        ("denoise", "--noise", "15/255"),
        ("deblur", "--kernel", tmp_path / "k.npz", "--steps", 3),
        ("deblur", "--kernel", "disk:1.5", "--boundary", "valid", "--steps", 3),
        ("cs", "--sampling", "block-gaussian", "--ratio", "0.25", "--steps", 3),
    ):
        report = tmp_path / "report.json"
        code, out, _ = run("evaluate", *arguments, "--data", folder, "--json", report)
        assert code == 0
        assert "mean" in out
        content = json.loads(report.read_text())
        assert content.keys() == {"task", "model", "settings", "mean", "images"}
        assert content["model"] == "gray-deep"  # the photo is gray
        assert content["mean"].keys() == {"psnr", "psnr_input", "ssim", "seconds", "steps"}
        assert len(content["images"]) == (2 if tmp_path / "k.npz" in arguments else 1)
        for image in content["images"]:
            assert image.keys() == {
                "name", "psnr", "psnr_input", "ssim", "seconds", "steps", "status", "objective_increases",
                *(["warm_start_steps"] if arguments[0] != "denoise" else []),
            }  # fmt: skip
            assert image["psnr"] > image["psnr_input"]
            assert image["objective_increases"] == 0


def test_evaluate_goes_on_after_images_that_cannot_be_used(run, photo, tmp_path):
    folder, report = tmp_path / "data", tmp_path / "report.json"
    folder.mkdir()
    (folder / "a-damaged.png").write_bytes(photo.read_bytes()[:100])
    photo.rename(folder / "b.png")
    Image.new("L", (16, 16)).save(folder / "c-small.png")
    Image.new("L", (40, 5)).save(folder / "d-flat.png")
    np.savez(tmp_path / "k.npz", k1=np.ones((3, 3)), k2=np.ones((1, 17)))
    words = ("--kernel", tmp_path / "k.npz", "--steps", 1, "--model", "gray-small", "--json", report)
    code, out, err = run("evaluate", "deblur", "--data", folder, *words)
    assert code == 1  # as for the other commands that take folders
    assert [line.split(":")[0] for line in err.splitlines()] == ["error"] * 3
    content = json.loads(report.read_text())
    names = [image["name"] for image in content["images"]]
    assert names == ["b.png k1", "b.png k2", "c-small.png k1"]  # 17 pixels do not fit into 16
    assert [row["name"] for row in content["errors"]] == ["a-damaged.png", "c-small.png", "d-flat.png"]
    assert "40x5 pixels are too few for SSIM" in err
    assert err == "".join(f"error: {row['error']}\n" for row in content["errors"])
    assert content["mean"]["psnr"] == pytest.approx(np.mean([image["psnr"] for image in content["images"]]))
    (folder / "b.png").unlink()
    (folder / "c-small.png").unlink()
    (folder / "d-flat.png").unlink()
    report.unlink()
    code, out, err = run("evaluate", "deblur", "--data", folder, *words)
    assert (code, out, report.exists()) == (1, "", False)
    assert "a-damaged.png" in err


def test_evaluate_is_repeatable(run, photo, tmp_path):
    figures = []
    for name in ("a.json", "b.json"):
        run("evaluate", "denoise", "--data", photo.parent, "--json", tmp_path / name, "--quiet")
        figures.append(json.loads((tmp_path / name).read_text())["mean"]["psnr"])
    assert figures[0] == figures[1]


def test_models_lists_the_zoo(run, tmp_path):
    code, out, _ = run("models", "--json", tmp_path / "models.json")
    assert code == 0
    rows = [line.split("│") for line in out.splitlines() if line.startswith("│ ") and line[2] != " "]
    guarantees = {row[1].strip(): row[3] for row in rows}
    assert {*guarantees} == {*model_names()}
    for name, words in guarantees.items():
        assert words.strip().startswith("explicit energy" if name.endswith("-deep") else "prox "), name
    figures = [float(row[4]) for row in rows if row[2].strip() == "gray"]
    assert figures == sorted(figures, reverse=True)
    assert "trained for noise" not in out
    _, out, _ = run("models", "gray")
    assert "trained for noise" in out
    assert "model nothing is unknown" in run("models", "nothing")[2]
    assert "gray" in {card["name"] for card in json.loads((tmp_path / "models.json").read_text())["models"]}


def test_demo_shows_the_main_job(run, tmp_path):
    # A quick model: `.ci/run` runs the default one.
    words = ("demo", "--model", "gray-small", "--out", tmp_path / "demo", "--json", tmp_path / "demo.json")
    code, out, _ = run(*words)
    assert code == 0
    assert "deblurring" in out
    assert "compressed sensing" in out
    for name in ("images.png", "objective.png", "deblurring-before.png", "compressed-sensing-after.png"):
        with Image.open(tmp_path / "demo" / name) as image:
            image.load()
    for case in json.loads((tmp_path / "demo.json").read_text())["cases"]:
        assert case["psnr_after"] > case["psnr_before"] + 3
        assert case["objective_increases"] == 0


@pytest.mark.parametrize("noise", ["-1", "nan", "inf", "1/0", "much", "25//255"])
def test_impossible_noise_levels(clear, photo, tmp_path, noise):
    assert "--noise" in clear("denoise", photo, f"--noise={noise}", "-o", tmp_path / "out.png")


def test_a_training_that_is_stopped_says_how_to_go_on(run, monkeypatch, tmp_path):
    def stopped(*_: object, **__: object):
        raise KeyboardInterrupt

    monkeypatch.setattr("gradprox.training.train", stopped)
    code, _, err = run("train", "--recipe", "gray", "--data", tmp_path, "--out", tmp_path / "run")
    assert (code, err) == (
        130,
        "stopped: run the command again with --resume to continue from the last checkpoint\n",
    )


def test_gray_levels_of_255_are_not_taken_for_shares_of_white(clear, photo, tmp_path):
    assert "write gray levels as 25/255" in clear(
        "denoise", photo, "--noise", "25", "-o", tmp_path / "out.png"
    )
    np.save(tmp_path / "bytes.npy", 255 * np.random.default_rng(0).random((48, 40)))
    for command in (("denoise",), ("deblur", "--kernel", "disk:1")):
        said = clear(*command, tmp_path / "bytes.npy", "--noise", "25/255", "-o", tmp_path / "out.npy")
        assert "bytes.npy: values reach 25" in said
        assert "white is 1" in said


def test_unusable_images(clear, tmp_path):
    text, nan, cut, empty = (tmp_path / n for n in ("text.png", "nan.npy", "cut.png", "empty.jpg"))
    text.write_text("hello")
    np.save(nan, np.full((8, 8), np.nan))
    cut.write_bytes(EXAMPLE_IMAGE.read_bytes()[:5000])
    empty.write_bytes(b"")
    for path, message in (
        (tmp_path / "missing.png", "no such file"),
        (text, "not an image"),
        (nan, "NaN"),
        (cut, "damaged"),
        (empty, "not an image"),
    ):
        assert message in clear("denoise", path, "--noise", "0.1", "-o", tmp_path / "out.png")


def test_unusable_kernels(clear, photo, tmp_path):
    np.save(tmp_path / "large.npy", np.ones((99, 99)))
    np.save(tmp_path / "negative.npy", -np.ones((3, 3)))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for kernel, message in (
        (tmp_path / "large.npy", "spans 99x99 pixels"),
        (tmp_path / "negative.npy", "nonnegative"),
        (tmp_path / "objects.npy", "not a readable"),
        ("motion:15", "motion:LENGTH:ANGLE"),
        ("gaussian:-1", "must be above 0"),
        ("gaussian:wide", "with numbers"),
        ("blurry", "not a kernel"),
        ("missing.npz", "no such kernel file"),
    ):
        assert message in clear("deblur", photo, "--kernel", kernel, "-o", tmp_path / "out.png")


def test_unusable_options(clear, photo, tmp_path):
    for arguments, message in (
        (("--model", "nobody"), "--model nobody is unknown"),
        (("--model", tmp_path / "none.safetensors"), "no such model file"),
        (("--device", "abacus"), "choose one of auto"),
    ):
        assert message in clear("denoise", photo, "--noise", "0.1", "-o", tmp_path / "out.png", *arguments)
    for arguments, message in (
        (("--solver", "magic"), "choose one of hqs"),
        (("--boundary", "magic"), "choose one of valid"),
        (("--strength", "-1"), "--strength must be positive"),
    ):
        assert message in clear("deblur", photo, "--kernel", "disk:1", "-o", tmp_path / "out.png", *arguments)
    assert ".gif is read, not written" in clear(
        "denoise", photo, "--noise", "0.1", "-o", tmp_path / "out.gif"
    )
    assert "ratio" in clear("sense", photo, "--ratio", "1.5", "-o", tmp_path / "y.npz")
    assert "--sampling magic is unknown" in clear(
        "sense", photo, "--sampling", "magic", "-o", tmp_path / "y.npz"
    )
    assert ".npz" in clear("sense", photo, "-o", tmp_path / "y.png")
    assert "--problem cs" in clear("export", "gray", tmp_path / "gray.onnx", "--size", "8x8")


def test_unusable_measurements(run, clear, photo, tmp_path):
    run("sense", photo, "-o", tmp_path / "y.npz")
    content = (tmp_path / "y.npz").read_bytes()
    with np.load(tmp_path / "y.npz") as archive:
        arrays = dict(archive)
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "image.npz").write_bytes(EXAMPLE_IMAGE.read_bytes())
    np.savez(tmp_path / "short.npz", **{**arrays, "y": arrays["y"][..., :-1]})
    np.savez(tmp_path / "nan.npz", **{**arrays, "y": arrays["y"] * np.nan})
    huge = str(arrays["sampling"]).replace("48,64", "4800000,6400000")
    np.savez(tmp_path / "huge.npz", **{**arrays, "sampling": np.array(huge)})
    for name, message in (
        ("cut.npz", "not a readable .npz"),
        ("image.npz", "not a readable .npz archive of arrays\n"),
        ("other.npz", "not a measurement file"),
        ("short.npz", "do not fit"),
        ("nan.npz", "finite"),
        ("huge.npz", "out of range"),
        ("missing.npz", "no such file"),
        (photo, "not a file of measurements, which `gradprox sense` writes"),
    ):
        assert message in clear("recover", tmp_path / name, "-o", tmp_path / "out.png"), name


def test_wrong_usage_has_its_own_exit_code(run):
    assert run("deblur")[0] == 2
    assert run("fly")[0] == 2


def test_an_unwritable_folder_is_an_error_of_one_line(clear, photo, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in clear("denoise", photo, "--noise", "0.1", "-o", Path(tmp_path / "file" / "out.png"))


def test_the_strength_is_chosen_from_the_noise(run, clear, photo, tmp_path):
    folder, report = tmp_path / "data", tmp_path / "report.json"
    folder.mkdir()
    photo.rename(folder / "photo.png")
    case = ("--data", folder, "--kernel", "gaussian:1.2", "--noise", "0.03", "--json", report)
    misfits = {}
    for strength in ("0.1", "auto", "10"):
        assert run("evaluate", "deblur", *case, "--strength", strength)[0] == 0
        content = json.loads(report.read_text())
        misfits[strength] = content["images"][0]
    assert content["settings"]["strength"] == 10
    chosen = misfits["auto"]
    assert 0.1 < chosen["strength"] < 10
    assert chosen["misfit"] == pytest.approx(1, abs=0.02)
    assert chosen["psnr"] > max(misfits["0.1"]["psnr"], misfits["10"]["psnr"])
    run("sense", folder / "photo.png", "-o", tmp_path / "y.npz")
    said = clear("recover", tmp_path / "y.npz", "-o", tmp_path / "out.png", "--strength", "auto")
    assert "--strength auto: there is no noise to match" in said
    assert "a number, for example 0.5, or auto" in clear("evaluate", "deblur", *case, "--strength", "much")
