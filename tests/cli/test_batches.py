"""Many files: what is read, where it goes, what a second run does, how several processes share the work."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from gradprox.cli.jobs import describe
from gradprox.cli.paths import collect_inputs, exported_file, plan_outputs
from gradprox.errors import InputError
from gradprox.files import remove_leftovers


@pytest.fixture
def shots(photo):
    """Return a folder of four images."""
    folder = photo.parent / "shots"
    folder.mkdir()
    with Image.open(photo) as image:
        for i in range(4):
            image.crop((2 * i, i, 2 * i + 40, i + 36)).save(folder / f"{i}.png")
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_folders_and_patterns(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("a/2.png", "a/1.jpg", "a/notes.txt", "a/b/3.png", "[odd].png"):
        (tmp_path / name).touch()

    def found(*arguments):
        paths, _ = collect_inputs([tmp_path / argument for argument in arguments], (".png", ".jpg"))
        return [str(path.relative_to(tmp_path)) for path in paths]

    assert found("a") == ["a/1.jpg", "a/2.png"]
    assert found("a/*.png", "a/2.png") == ["a/2.png"]
    assert found("a/**/*.png") == ["a/2.png", "a/b/3.png"]
    assert found("[odd].png", "missing.png") == ["[odd].png", "missing.png"]
    unmatched, empty = tmp_path / "a" / "*.gif", tmp_path / "a" / "b"
    paths, refused = collect_inputs([unmatched, tmp_path / "a" / "1.jpg", empty], (".jpg",))
    assert paths == [tmp_path / "a" / "1.jpg"]
    assert [*refused] == [unmatched, empty]
    assert refused[unmatched] == f"{unmatched}: matches no file"
    assert f"{empty}: no files in it" in refused[empty]


def test_where_outputs_go(tmp_path):
    one, several = [Path("x/a.png")], [Path("x/a.png"), Path("y/b.png")]
    assert plan_outputs(one, tmp_path / "o.jpg").pairs == [(one[0], tmp_path / "o.jpg")]
    assert plan_outputs(one, tmp_path).pairs == [(one[0], tmp_path / "a.png")]
    assert plan_outputs(several, tmp_path / "new").pairs == [(p, tmp_path / "new" / p.name) for p in several]
    assert plan_outputs(several, tmp_path, ".npz").pairs[0][1] == tmp_path / "a.npz"
    clash = plan_outputs([Path("x/a.png"), Path("y/a.png")], tmp_path)
    assert clash.pairs == [(Path("x/a.png"), tmp_path / "a.png")]
    assert clash.refused[Path("y/a.png")].startswith("y/a.png: left out, because x/a.png is written to ")
    for inputs, output, suffix, message in (
        (several, tmp_path / "o.png", None, "need a folder"),
        (one, tmp_path / "y.png", ".npz", r"\.npz"),
        (one, tmp_path / "y.xyz", None, "unknown image format"),
        (one, "-", None, "not written to standard output"),
    ):
        with pytest.raises(InputError, match=message):
            plan_outputs(inputs, output, suffix)


def test_a_second_run_does_only_what_is_missing(run, shots, tmp_path):
    out, report = tmp_path / "out", tmp_path / "report.json"
    command = ("denoise", shots, "--noise", "0.05", "-o", out, "--json", report)
    (shots / "3.png").rename(tmp_path / "3.png")
    (shots / "2.png").write_text("not yet an image")
    code, said, err = run(*command)
    assert code == 1
    assert "2.png: not an image" in err
    assert "2 done, 1 failed" in said
    before = contents(out)
    (out / "0.png").write_text("kept as it is")
    (out / ".2.0123abcd.part.png").write_text("left by a killed run")
    (out / ".other.0123abcd.part.png").write_text("not of this batch")

    assert "1.png: left out, because" in run(*command)[2]
    Image.new("L", (40, 36)).save(shots / "2.png")
    (tmp_path / "3.png").rename(shots / "3.png")
    code, said, _ = run(*command, "--resume")
    assert code == 0
    assert "2 done, 2 skipped" in said
    content = json.loads(report.read_text())
    assert [image.get("skipped", False) for image in content["images"]] == [True, True, False, False]
    assert (content["done"], content["skipped"], content["failed"]) == (2, 2, 0)
    assert (out / "0.png").read_text() == "kept as it is"
    assert (out / "1.png").read_bytes() == before["1.png"]
    assert not (out / ".2.0123abcd.part.png").exists()
    assert (out / ".other.0123abcd.part.png").exists()
    assert "contradict" in run(*command, "--resume", "--overwrite")[2]


def test_one_unusable_input_does_not_stop_a_batch(run, shots, tmp_path):
    out, report = tmp_path / "out", tmp_path / "report.json"
    out.mkdir()
    (out / "1.png").write_text("precious")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.xyz").write_text("no image")
    inputs = (shots, tmp_path / "*.gif", tmp_path / "empty", tmp_path / "notes.xyz")
    code, said, err = run("denoise", *inputs, "--noise", "0.05", "-o", out, "--json", report)
    assert code == 1
    assert "3 done, 3 left out, 1 failed" in said
    assert {line.split(": ")[1] for line in err.splitlines()} == {
        str(path) for path in (*inputs[1:], shots / "1.png")
    }
    assert (out / "1.png").read_text() == "precious"
    assert {"0.png", "2.png", "3.png"} <= {path.name for path in out.iterdir()}
    content = json.loads(report.read_text())
    assert (content["done"], content["left_out"], content["failed"]) == (3, 3, 1)
    assert sum("error" in image for image in content["images"]) == 4


def test_a_missing_input_is_missing_even_if_its_output_exists(run, tmp_path):
    (tmp_path / "out.png").touch()
    code, _, error = run("denoise", tmp_path / "none.png", "-o", tmp_path / "out.png")
    assert (code, error) == (1, f"error: {tmp_path / 'none.png'}: no such file\n")


def test_a_batch_that_is_done_says_so(run, photo, tmp_path):
    out = tmp_path / "out.png"
    out.touch()
    code, said, error = run("denoise", photo, "-o", out, "--resume")
    assert (code, said, error) == (0, "nothing to do: every output exists already\n", "")


def test_a_folder_of_a_layout_stands_for_its_model(tmp_path):
    hub, repository = tmp_path / "hub", tmp_path / "repository"
    models = [
        hub / "model.onnx",
        repository / "a" / "1" / "model.onnx",
        repository / "b" / "1" / "model.onnx",
    ]
    for model in models:
        model.parent.mkdir(parents=True)
        model.touch()
    assert exported_file(models[0]) == exported_file(hub) == models[0]
    assert exported_file(repository / "a") == models[1]
    with pytest.raises(InputError, match=r"holds 2 models: name one, for example .*model\.onnx"):
        exported_file(repository)
    models[2].unlink()
    assert exported_file(repository) == models[1]
    with pytest.raises(InputError, match="holds no exported model"):
        exported_file(tmp_path)


def test_an_existing_chart_stops_one_image_only(run, shots, tmp_path):
    charts = tmp_path / "charts"
    charts.mkdir()
    (charts / "1.png").write_text("precious")
    small = ("--model", "gray-small", "--noise", "0.05", "-o", tmp_path / "out")
    code, _, err = run("denoise", shots / "0.png", shots / "1.png", "--uncertainty", f"{charts}/", *small)
    assert code == 1
    assert err.startswith(f"error: {shots / '1.png'}: ")
    assert (charts / "0.png").is_file()
    assert (charts / "1.png").read_text() == "precious"


def test_reports_say_what_ran(run, shots, tmp_path):
    report, photo = tmp_path / "report.json", shots / "0.png"
    deblur = (
        "deblur",
        photo,
        "--kernel",
        "disk:1",
        "--noise",
        "0.02",
        "--steps",
        1,
        "-o",
        tmp_path / "o.png",
    )
    assert run(*deblur, "--model", "gray-small", "--json", report)[0] == 0
    content = json.loads(report.read_text())
    assert (content["task"], content["model"]) == ("deblur", "gray-small")
    settings = {"kernel": "disk:1", "noise": 0.02, "boundary": "valid", "steps": 1}
    assert settings.items() <= content["settings"].items()
    (image,) = content["images"]
    assert (image["model"], image["solver"], image["parameters"]["max_iter"]) == ("gray-small", "hqs", 1)

    assert run("sense", photo, "-o", tmp_path / "y.npz", "--json", report)[0] == 0
    assert json.loads(report.read_text())["settings"]["ratio"] == 0.25
    recover = ("recover", tmp_path / "y.npz", "--steps", 1, "-o", tmp_path / "r.png")
    assert run(*recover, "--json", report)[0] == 0
    content = json.loads(report.read_text())
    (image,) = content["images"]
    assert (content["task"], content["model"]) == ("recover", None)
    assert (image["model"], image["solver"]) == ("gray-deep", "hqs")
    assert image["sampling"]["noise"] == 0

    assert run("denoise", photo, "--noise", "0.05", "-o", tmp_path / "d.png", "--json", report)[0] == 0
    content = json.loads(report.read_text())
    assert (content["task"], content["settings"]["noise"]) == ("denoise", 0.05)
    assert content["images"][0]["model"] == "gray-deep"


def test_json_on_standard_output_is_alone_there(run, shots, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        code, out, err = run("sense", shots / "0.png", "-o", tmp_path / "y.npz", "--overwrite", "--json", "-")
        assert code == 0
        assert json.loads(out)["done"] == 1
        assert "measurements:" in err
        assert [path.name for path in tmp_path.glob("-*")] in ([], ["-"])
        (tmp_path / "-").mkdir(exist_ok=True)  # a folder of this name is none of its business


def test_leftovers_are_told_from_other_files(tmp_path):
    mine, others = (
        [".a.00ff00ff.part.png", ".a.0123abcd.part.png"],
        ["a.png", ".a.png", ".b.00ff00ff.part.png"],
    )
    for name in mine + others:
        (tmp_path / name).touch()
    remove_leftovers([tmp_path / "a.png", tmp_path / "nowhere" / "a.png"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_several_processes_give_the_same_files(run, shots, tmp_path):
    (shots / "9.png").write_text("no image")
    said = {}
    for workers in (1, 2):
        arguments = ("--kernel", "disk:1.5", "--steps", 2, "-o", tmp_path / f"out{workers}")
        report = tmp_path / f"{workers}.json"
        code, _, err = run("deblur", shots, *arguments, "--workers", workers, "--json", report)
        assert code == 1
        assert err.count("\n") == 1
        said[workers] = json.loads(report.read_text())["images"]
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")
    for one, other in zip(said[1], said[2], strict=True):
        for key in ("seconds", "output"):
            one.pop(key, None), other.pop(key, None)
        assert one == other


@pytest.mark.reliability
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_no_partial_file_and_no_process(shots, tmp_path, workers):
    out = tmp_path / "out"
    for i in range(400):
        shutil.copy(shots / "0.png", shots / f"copy{i}.png")
    command = ["deblur", shots, "--kernel", "disk:1.5", "--noise", "0.01", "--workers", workers, "-o", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "gradprox", *map(str, command)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    deadline = time.monotonic() + 400  # three processes that import torch, on a busy machine
    while process.poll() is None and not (out.exists() and contents(out)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert (
        "stopped: no output is half-written; run the command again with --resume to process the rest" in err
    )
    assert not [name for name in contents(out) if name.startswith(".")]
    # Workers and what multiprocessing starts beside them end when their parent has, not before.
    deadline = time.monotonic() + 60
    while group_lives(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_noise_is_estimated_and_said(run, photo, tmp_path):
    clean = np.asarray(Image.open(photo), dtype=float)
    noisy = clean + 20 * np.random.default_rng(0).standard_normal(clean.shape)
    np.save(tmp_path / "noisy.npy", noisy / 255)
    report = tmp_path / "report.json"
    code, out, _ = run("denoise", tmp_path / "noisy.npy", "-o", tmp_path / "clean.npy", "--json", report)
    assert code == 0
    (record,) = json.loads(report.read_text())["images"]
    level = 255 * record["estimated_noise"]
    assert level == pytest.approx(20, rel=0.1)
    assert f"noise estimated at {level:.2f}/255" in out
    restored = 255 * np.load(tmp_path / "clean.npy")
    assert ((restored - clean) ** 2).mean() < ((noisy - clean) ** 2).mean() / 3


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("max_iter", "7 steps, 1.0 s"),
        ("converged", "7 steps, converged, 1.0 s"),
        ("completed", "7 steps, 1.0 s"),
        ("diverged", "7 steps, diverged: The objective or the image grew .* 1.0 s"),
    ],
)
def test_only_a_failure_is_explained(status, said):
    assert re.fullmatch(said, describe({"steps": 7, "status": status, "seconds": 1.0}))


def test_images_too_small_for_an_estimate_are_named(run, tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("L", (3, 3)).save(tmp_path / name)
    code, _, err = run("denoise", tmp_path, "-o", tmp_path / "out")
    assert code == 1
    assert [line.split("3x3 pixels")[0] for line in err.splitlines()] == [
        f"error: {tmp_path / name}: " for name in ("a.png", "b.png")
    ]


def test_sixteen_bit_color_with_alpha_stays_that(run, tmp_path):
    values = np.random.default_rng(0).integers(0, 65535, (24, 26, 4)).astype(np.uint16)
    (tmp_path / "in.png").write_bytes(imagecodecs.png_encode(values))
    assert run("denoise", tmp_path / "in.png", "--noise", "0.1", "-o", tmp_path / "out.png")[0] == 0
    out = imagecodecs.png_decode((tmp_path / "out.png").read_bytes())
    assert out.dtype == np.uint16
    np.testing.assert_array_equal(out[..., 3], values[..., 3])
    assert len(np.unique(out[..., 0] % 256)) > 100  # its lower bytes are in use


def test_a_blur_of_light_is_undone_in_light(run, photo, tmp_path):
    from gradprox.images import ImageData, read_image, write_image
    from gradprox.images.srgb import to_display, to_linear_light
    from gradprox.physics import CircularBlur, read_kernel

    sharp = read_image(photo).pixels.double()
    light = to_linear_light(sharp)
    camera = CircularBlur(read_kernel("disk:2").double(), tuple(light.shape[-2:]))
    write_image(tmp_path / "in.npy", ImageData(to_display(camera.A(light)), 32))
    errors = {}
    for option in ("--linear-light", "--quiet"):
        target = tmp_path / f"out{option}.npy"
        arguments = ("--kernel", "disk:2", "--noise", "0.002", "--boundary", "circular", "-o", target)
        assert run("deblur", tmp_path / "in.npy", *arguments, option)[0] == 0
        errors[option] = float((read_image(target).pixels - sharp).square().mean())
    assert errors["--linear-light"] < 0.8 * errors["--quiet"]


def test_folders_of_measurements(run, shots, tmp_path):
    assert run("sense", shots, "--ratio", "0.5", "-o", tmp_path / "y")[0] == 0
    assert sorted(path.name for path in (tmp_path / "y").iterdir()) == [f"{i}.npz" for i in range(4)]
    code, said, _ = run("recover", tmp_path / "y", "-o", tmp_path / "back", "--steps", 2)
    assert code == 0
    assert "4 done" in said
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == [f"{i}.png" for i in range(4)]


def test_steps_of_the_warm_start_are_told_apart():
    record = {"steps": 17, "warm_start_steps": 16, "status": "max_iter", "seconds": 1.0}
    assert describe(record) == "17 steps (16 of them for a first estimate), 1.0 s"
