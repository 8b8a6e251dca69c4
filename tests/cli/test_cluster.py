"""The example of a cluster, on a local Ray of two workers, one of which is killed."""

from __future__ import annotations

import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from gradprox.images import EXAMPLE_IMAGE

with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='needs pip install "gradprox[ray]"'
)
EXAMPLE = Path(__file__).parents[2] / "examples" / "cluster_deblur.py"

# A worker that kills itself when it comes to the third photo for the first time.
KILLED_ONCE = """
import os, signal, sys
from pathlib import Path

mark = Path(sys.argv.pop())
sys.path.insert(0, os.environ["PYTHONPATH"])
import cluster_deblur


class KilledOnce(cluster_deblur.Deblurrer):
    def __call__(self, row):
        if row["source"].endswith("2.png") and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(row)


cluster_deblur.Deblurrer = KilledOnce
cluster_deblur.main()
"""


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(EXAMPLE_IMAGE) as image:
        for i in range(5):
            image.convert("L").crop((i, i, i + 40, i + 36)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(autouse=True)
def _ray(monkeypatch):
    # Ray's workers otherwise run at niceness 15, and wait for ever on a busy machine.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE.parent))  # they import the example


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_its_worker_deblurs_as_the_command_does(photos, tmp_path, run):
    worker = runpy.run_path(str(EXAMPLE))["Deblurrer"]("disk:1")
    (photos / "0.png").write_text("not an image")
    rows = [(photos / f"{i}.png", tmp_path / "out" / f"{i}.png") for i in range(2)]
    failed, done = (worker({"source": str(source), "target": str(target)}) for source, target in rows)
    assert failed["outcome"].startswith("error: ")
    assert done == {"name": "1.png", "outcome": "completed"}
    assert run("deblur", photos / "1.png", "--kernel", "disk:1", "-o", f"{tmp_path}/here/")[0] == 0
    assert (tmp_path / "out" / "1.png").read_bytes() == (tmp_path / "here" / "1.png").read_bytes()


@pytest.mark.slow
@with_ray
def test_a_killed_worker_loses_and_doubles_nothing(photos, tmp_path, run):
    arguments = [photos, "disk:1", tmp_path / "out", tmp_path / "mark"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED_ONCE, *map(str, arguments)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mark").exists()
    assert sorted(line.split()[0] for line in done.stdout.splitlines()) == [f"{i}.png" for i in range(5)]
    # The command line gives the same images.
    assert run("deblur", photos, "--kernel", "disk:1", "-o", tmp_path / "here")[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "here")


@pytest.mark.slow
@with_ray
def test_the_example_does_what_is_missing(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for i in range(4):
        (out / f"{i}.png").write_text("kept")
    command = [sys.executable, str(EXAMPLE), str(photos), "disk:1", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in sorted(out.iterdir())] == [f"{i}.png" for i in range(5)]
    assert (out / "0.png").read_text() == "kept"
    with Image.open(out / "4.png") as image:
        assert image.size == (40, 36)
