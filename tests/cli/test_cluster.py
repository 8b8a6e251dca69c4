"""The same restoration on a local Ray of two workers, one of which is killed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from gradprox.images import EXAMPLE_IMAGE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason='needs pip install "gradprox[ray]"'),
]
EXAMPLE = Path(__file__).parents[2] / "examples" / "cluster_deblur.py"

# A worker that is killed, by itself, when it comes to the third image for the first time.
KILLED_ONCE = """
import os, signal, sys
from dataclasses import dataclass
from pathlib import Path
import ray
from gradprox.cli.jobs import plan_outputs
from gradprox.cli.cluster import process_on_cluster
from gradprox.cli.denoise import Denoising
from gradprox.images import images_in

photos, out, mark = map(Path, sys.argv[1:])

@dataclass(frozen=True)
class KilledOnce(Denoising):
    mark: Path = mark

    def open(self):
        work = super().open()

        def dying(source, target, show):
            if source.name == "2.png" and not self.mark.exists():
                self.mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return work(source, target, show)

        return dying

ray.init(num_cpus=2, include_dashboard=False)
records = process_on_cluster(KilledOnce(0.1), plan_outputs(images_in(photos), out), workers=2)
print(sorted(record["name"] for record in records))
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
def _not_last_in_line(monkeypatch):
    """Ray's workers otherwise run at niceness 15, and wait for ever on a busy machine."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_worker_loses_and_doubles_nothing(photos, tmp_path, run):
    (tmp_path / "out").mkdir()
    arguments = [photos, tmp_path / "out", tmp_path / "mark"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED_ONCE, *map(str, arguments)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mark").exists()
    assert str([f"{i}.png" for i in range(5)]) in done.stdout
    assert run("denoise", photos, "--noise", "0.1", "-o", tmp_path / "here")[0] == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "here")


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
