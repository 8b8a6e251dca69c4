"""A disk that is full before the output is written: one line, and nothing left, not even the temporary file."""

from __future__ import annotations

import random

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from .test_damaged_files import RECIPE

pytestmark = pytest.mark.reliability

SECONDS = 120
OUTPUTS = ("8.png", "16.png", "8.tif", "16.tif", "photo.jpg", "photo.webp", "photo.bmp", "a.npy", "a.npz")


@pytest.fixture
def overflow(start, tmp_path, times):
    """Run a command with less and less room for its largest file."""

    def overflow(out, *arguments):
        log, chance = tmp_path / "log", random.Random(out.name)  # noqa: S311
        process = start(*arguments, log=log)
        process.join(SECONDS)
        assert process.exitcode == 0, log.read_text()
        size = out.stat().st_size
        out.unlink()
        for limit in (0, size - 1, *(chance.randrange(size) for _ in range(times(8)))):
            log.unlink()
            before = set(tmp_path.rglob("*"))
            process = start(*arguments, log=log, largest_file=limit)
            process.join(SECONDS)
            said = log.read_text()
            assert process.exitcode == 1, said
            # Its own words do not fit on a disk of no bytes; that they are one line is seen with more.
            assert said.startswith("error: ") or limit < 200, said
            assert said.count("\n") <= 1, said
            assert set(tmp_path.rglob("*")) - {log} == before

    return overflow


@pytest.mark.parametrize("name", OUTPUTS)
def test_images(overflow, model, pixels, tmp_path, name):
    deep = pixels.astype(np.uint16) * 257
    if name.startswith("16"):
        source = tmp_path / "in.png"
        source.write_bytes(imagecodecs.png_encode(deep))
    else:
        source = tmp_path / "in.bmp"
        Image.fromarray(pixels).save(source)
    out = tmp_path / f"out-{name}"
    overflow(out, "denoise", source, "--noise", "0.1", "--model", model, "-o", out)


def test_measurements_and_kernels(overflow, pixels, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "in.png")
    overflow(tmp_path / "y.npz", "sense", tmp_path / "in.png", "-o", tmp_path / "y.npz")
    overflow(tmp_path / "k.png", "kernel", "motion:9:30", "-o", tmp_path / "k.png")


def test_trainings_keep_their_last_checkpoint(start, photos, tmp_path, times):
    recipe, out, log = tmp_path / "recipe.toml", tmp_path / "run", tmp_path / "log"
    recipe.write_text(RECIPE)
    command = ["train", "--recipe", recipe, "--data", photos, "--out", out, "--resume"]
    for limit in range(0, 20_000, 20_000 // times(10)):
        log.unlink(missing_ok=True)
        process = start(*command, log=log, largest_file=limit)
        process.join(SECONDS)
        assert process.exitcode in (0, 1)
        assert "Traceback" not in log.read_text()
        assert not [path for path in out.iterdir() if path.name.startswith(".")]
    process = start(*command, log=log)
    process.join(SECONDS)
    assert process.exitcode == 0, log.read_text()
