"""Killed fifty times at random moments, a batch and a training end with the bytes of runs that were not."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from .test_damaged_files import RECIPE

pytestmark = pytest.mark.reliability

KILLS = 50
SECONDS = 120


def state(folder: Path) -> set[tuple[str, int, int]]:
    """Return what stands in a folder, temporary files included."""
    found = set()
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            status = path.stat()
        except FileNotFoundError:  # renamed since
            continue
        found.add((path.name, status.st_ino, status.st_mtime_ns))
    return found


def struck(
    start, folder: Path, chance: random.Random, signal_number: int, *arguments: object, log: Path
) -> bool:
    """Start a command and strike within 50 ms of the first change in a folder; return whether it was still running."""
    before = state(folder)
    process = start(*arguments, log=log)
    deadline = time.monotonic() + SECONDS
    while process.is_alive() and state(folder) == before:
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    time.sleep(chance.uniform(0, 0.05))
    alive = process.is_alive()
    if alive:  # one that has ended is gone, and its number may be another's
        os.kill(process.pid, signal_number)
    process.join(SECONDS)
    assert process.exitcode is not None, "did not end"
    return alive and process.exitcode != 0


def finish(start, *arguments: object, log: Path) -> None:
    process = start(*arguments, log=log)
    process.join(SECONDS)
    assert process.exitcode == 0, log.read_text()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_batch(start, photos, model, tmp_path, times):
    chance, log = random.Random(0), tmp_path / "log"  # noqa: S311
    command = ["denoise", photos, "--noise", "0.1", "--model", model, "-o"]
    finish(start, *command, tmp_path / "whole", log=log)
    whole = contents(tmp_path / "whole")
    kills, batch = 0, 0
    while kills < times(KILLS):
        batch += 1
        out = tmp_path / f"cut{batch}"
        while kills < times(KILLS):
            if not struck(start, out, chance, signal.SIGKILL, *command, out, "--resume", log=log):
                break
            kills += 1
            for name, content in contents(out).items():
                assert name.startswith(".") or content == whole[name], f"{name} after kill {kills}"
        finish(start, *command, out, "--resume", log=log)
        assert contents(out) == whole
    assert "Traceback" not in log.read_text()


def test_a_training(start, photos, tmp_path, times):
    chance, log = random.Random(1), tmp_path / "log"  # noqa: S311
    (tmp_path / "recipe.toml").write_text(
        RECIPE.replace("steps = 20", "steps = 200").replace("checkpoint_every = 5", "checkpoint_every = 1")
    )
    command = [
        "train",
        "--recipe",
        tmp_path / "recipe.toml",
        "--data",
        photos,
        "--device",
        "cpu",
        "--threads",
        1,
    ]
    finish(start, *command, "--out", tmp_path / "whole", log=log)
    whole = (tmp_path / "whole" / "model.safetensors").read_bytes()
    kills, training = 0, 0
    while kills < times(KILLS):
        training += 1
        out = tmp_path / f"cut{training}"
        while kills < times(KILLS):
            if not struck(start, out, chance, signal.SIGKILL, *command, "--resume", "--out", out, log=log):
                break
            kills += 1
        finish(start, *command, "--resume", "--out", out, log=log)
        assert (out / "model.safetensors").read_bytes() == whole
        assert sorted(contents(out)) == [
            "checkpoint.safetensors",
            "curve.csv",
            "model.safetensors",
            "run.json",
        ]
    assert "Traceback" not in log.read_text()


def test_ctrl_c(start, photos, model, tmp_path, times):
    chance, log, out = random.Random(2), tmp_path / "log", tmp_path / "out"  # noqa: S311
    command = ["denoise", photos, "--noise", "0.1", "--model", model, "-o", out, "--resume"]
    for _ in range(times(30)):
        struck(start, out, chance, signal.SIGINT, *command, log=log)
        assert not [path for path in out.iterdir() if path.name.startswith(".")]
        for path in list(out.iterdir())[::2]:
            path.unlink()
    assert "Traceback" not in log.read_text()
