"""Wrong values are refused before torch is imported, by the names of their options, with the name that was meant."""

from __future__ import annotations

import json
import subprocess
import sys
from enum import Enum

import pytest

from gradprox.errors import unknown

# Command lines, and what they say. Models, solvers and operators know these names too, but need torch.
WRONG = {
    "deblur PHOTO --kernel disk:1 --solver hsq -o OUT": "--solver hsq is unknown: did you mean hqs? choose one of hqs,",
    "recover PHOTO --solver fsta -o OUT": "--solver fsta is unknown: did you mean fista?",
    "deblur PHOTO --kernel disk:1 --boundary vaild -o OUT": "--boundary vaild is unknown: did you mean valid?",
    "deblur PHOTO --kernel disk:1 --noise abc -o OUT": "--noise: noise level abc:",
    "deblur PHOTO --kernel disk:1 --noise gain:x -o OUT": "--noise: gain:x: write gain:G,read:R, for example",
    "denoise PHOTO --noise gain:0.01,read:3 -o OUT": "--noise: noise level 3: black is 0 and white is 1",
    "deblur PHOTO --channels seprate -o OUT": "--channels seprate is unknown: did you mean separate?",
    "denoise PHOTO --ray -o OUT": "--ray needs the package ray: pip install ray",
    "deblur PHOTO --kernel disk:1 -o OUT": "PHOTO: no such file",
    "recover y.npz -o OUT": "y.npz: no such file",
    "deblur PHOTO --kernel dsik:1 -o OUT": "--kernel dsik:1: not a kernel: did you mean disk?",
    "deblur PHOTO --kernel disk -o OUT": "--kernel disk: write disk:RADIUS",
    "deblur PHOTO --kernel auto:dsk -o OUT": "--kernel auto:dsk is unknown: did you mean auto:disk?",
    "deblur PHOTO --strength -1 -o OUT": "--strength must be positive and finite, got -1",
    "deblur PHOTO --strength nan -o OUT": "--strength must be positive and finite, got nan",
    "deblur PHOTO --tol 1 -o OUT": "--tol must be at least 0 and less than 1, got 1",
    "deblur PHOTO --device gpu -o OUT": "--device gpu is unknown: ",
    "denoise PHOTO --model gray-depe -o OUT": "--model gray-depe is unknown: did you mean gray-deep?",
    "evaluate denoise --data . --model color-fats": "--model color-fats is unknown: did you mean color-fast?",
    "evaluate deblur --data . --kernel moton:9:0": "--kernel moton:9:0: not a kernel: did you mean motion?",
    "sense PHOTO --sampling hadamrad -o OUT": "--sampling hadamrad is unknown: did you mean hadamard?",
    "certify gray-fats": "model gray-fats is unknown: did you mean gray-fast?",
    "bench gray-fats": "model gray-fats is unknown: did you mean gray-fast?",
    "export gray-fats out.onnx": "model gray-fats is unknown: did you mean gray-fast?",
}
RUN_ALL = """
import contextlib, io, json, sys

from gradprox.cli import ray_workers
from gradprox.cli.app import main

ray_workers.find_spec = lambda name: None
said = {}
for line in json.load(sys.stdin):
    sys.argv = ["gradprox", *line.split()]
    with contextlib.redirect_stderr(io.StringIO()) as error, contextlib.suppress(SystemExit):
        main()
    said[line] = error.getvalue()
print(json.dumps({"said": said, "slow": sorted({"torch", "deepinv"} & {*sys.modules})}))
"""


def test_wrong_values_are_refused_without_torch(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL],
        input=json.dumps([*WRONG]),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    found = json.loads(done.stdout)
    for line, message in WRONG.items():
        assert found["said"][line].startswith(f"error: {message}"), line
        assert found["said"][line].count("\n") == 1
    assert found["slow"] == []


@pytest.mark.parametrize(("name", "meant"), [("grey-fast", "did you mean gray-fast? "), ("x", "")])
def test_a_similar_name_is_suggested(name, meant):
    error = unknown("model", name, ["gray", "gray-fast"], ", or give a file")
    assert str(error) == f"model {name} is unknown: {meant}choose one of gray, gray-fast, or give a file"


def test_a_member_of_an_enumeration_is_suggested_by_its_value():
    tasks = Enum("Task", {"DEBLUR": "deblur", "MRI": "mri"}, type=str)
    error = unknown("task", "deblurring", [*tasks])
    assert str(error) == "task deblurring is unknown: did you mean deblur? choose one of deblur, mri"


def test_a_kernel_larger_than_the_photo_is_the_reason(run, photo, tmp_path):
    for kernel, size in (("disk:40", "81x81"), ("motion:70:0", "71x71")):
        code, _, error = run(
            "deblur", photo, "--kernel", kernel, "--noise", "0.01", "-o", tmp_path / "out.png"
        )
        assert code == 1
        assert f"--kernel {kernel}: spans {size} pixels" in error
        assert "64x48: give lengths in pixels of the photo" in error


def test_a_report_has_the_strength_as_a_number(run, photo, tmp_path):
    arguments = (
        "deblur",
        photo,
        "--kernel",
        "disk:1",
        "--noise",
        "0.02",
        "--model",
        "gray-small",
        "--steps",
        1,
    )
    for given, reported in (("0.5", 0.5), ("auto", "auto")):
        report = tmp_path / f"{given}.json"
        out = tmp_path / f"{given}.png"
        assert run(*arguments, "--strength", given, "-o", out, "--json", report)[0] == 0
        assert json.loads(report.read_text())["settings"]["strength"] == reported
