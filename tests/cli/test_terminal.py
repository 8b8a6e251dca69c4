"""The progress bar: it moves inside a step, tells the time left, and says before long work how long it takes."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from gradprox.cli import meter, terminal
from gradprox.cli.deblur import Deblurring
from gradprox.cli.groups import Batch
from gradprox.cli.jobs import run_batch
from gradprox.cli.model_choice import ModelChoice
from gradprox.cli.tuning import DeblurringTuning
from gradprox.networks import EnergyGatedConfig, IdentityPath, IdentityPathConfig
from gradprox.networks.denoisers import identity_path
from gradprox.networks.tiling import follow
from gradprox.solvers import mixed_precision

STEP = SimpleNamespace(residual=torch.tensor([0.1]))


@pytest.fixture
def screen(monkeypatch):
    screen = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=100)
    monkeypatch.setattr(terminal, "console", lambda **_: screen)
    return screen


@pytest.mark.parametrize(
    ("steps", "shown", "hidden"),
    [(4, "1/4  25 %", "-:--:--"), (1, "0:00:00 so far", "/")],
    ids=["four steps", "one step"],
)
def test_a_single_step_shows_no_count(screen, steps, shown, hidden):
    with terminal.progress_bar(quiet=False) as bar:
        watch = meter.Meter(bar, "photo.png", steps, quiet=False)
        if steps > 1:
            watch(STEP)
        bar.refresh()
        lines = screen.file.getvalue()
    assert "photo.png" in lines
    assert shown in lines
    assert hidden not in lines


def test_tiles_move_the_bar_within_a_step(screen):
    with terminal.progress_bar(quiet=False) as bar:
        watch = meter.Meter(bar, "photo.png", 2, quiet=False)
        (task,) = bar.tasks
        watch.piece(0.5)
        assert 0 < task.completed < 1
        for _ in range(6):
            watch.piece(0.5)
        assert task.completed < 1  # more passes than expected
        watch(STEP)
        assert task.completed == 1
        for _ in range(7):
            watch.piece(0.25)
        assert task.completed == pytest.approx(1.5)  # half the passes of the step before
        watch.finished(0.75)
        assert task.completed == 1.5


@pytest.mark.parametrize(("speed", "told"), [(0.01, True), (0.1, False)])
def test_long_work_is_told_at_its_start(screen, monkeypatch, speed, told):
    clock = [0.0]
    monkeypatch.setattr(meter.time, "perf_counter", lambda: clock[0])
    with terminal.progress_bar(quiet=False) as bar:
        watch = meter.Meter(bar, "photo.png", 4, quiet=False)
        for seconds in (100, 101, 103, 110):  # reading took 100 seconds
            clock[0] = seconds
            watch.finished((1 + speed * (seconds - 100)) / 4)
    # Three steps are left at the first report.
    assert screen.file.getvalue().count("photo.png: up to about 5 minutes left") == told


# Seconds of each step of `deblur` on one thread: gray-deep on 256x256 pixels, gray-fast on 320x320.
STEP_SECONDS = {
    "gray-deep, full": (0.417, 0.391, 0.415, 0.407, 0.420, 0.390, 0.393, 0.387, 0.393, 0.384, 0.743, 0.404),
    "gray-deep, full, disk": (
        0.352,
        0.337,
        0.339,
        0.343,
        0.345,
        0.342,
        0.328,
        0.327,
        0.334,
        0.329,
        0.636,
        0.336,
    ),
    "gray-deep": (0.247, 0.239, 0.237, 0.232, 0.221, 0.215, 0.218, 0.225, 0.218, 0.212, 0.696, 0.381),
    "gray-deep, disk": (0.245, 0.246, 0.230, 0.259, 0.259, 0.254, 0.233, 0.231, 0.239, 0.220, 0.757, 0.376),
    "gray-fast": (0.304, 0.274, 0.297, 0.271, 0.253, 0.245, 0.257, 0.283, 0.243, 0.279, 0.734, 0.328),
    "gray-fast, disk": (0.273, 0.253, 0.264, 0.306, 0.347, 0.330, 0.251, 0.298, 0.276, 0.278, 0.667, 0.323),
}


@pytest.mark.parametrize("model", STEP_SECONDS)
@pytest.mark.parametrize("images", [1, 2])
def test_the_time_left_is_right_from_the_third_step_on(screen, monkeypatch, model, images):
    clock, seconds = [0.0], [100 * s for s in STEP_SECONDS[model]]
    monkeypatch.setattr(meter.time, "perf_counter", lambda: clock[0])
    mixed = not model.startswith("gray-fast") and "full" not in model
    monkeypatch.setattr(mixed_precision, "computes_in_bfloat16", lambda _: True)
    job = Deblurring(
        kernel="disk:1",
        model=ModelChoice(model=model.split(",")[0]),
        tuning=DeblurringTuning(mixed_precision=False if "full" in model else None),
    )
    costs = job.costs
    assert (costs[-1] == 1.6) == mixed
    assert len(costs) == len(seconds)
    with terminal.progress_bar(quiet=False) as bar:
        watch = meter.Meter(bar, "photo.png", len(costs), quiet=False, costs=costs)
        (task,) = bar.tasks
        began = clock[0] = 300  # reading
        for image in range(images):
            watch.begin(image, images)
            if image == 0:
                clock[0] += 2 * seconds[0]  # the first use of the memory makes the first step slower
                began = clock[0]
            for number, step in enumerate(seconds):
                clock[0] += 0.8 * step
                for _ in range(4):  # the passes of the model come at the end of a step
                    clock[0] += 0.05 * step
                    watch.piece(0.25)
                    check = number > 2 or image > 0
                    left = images * sum(seconds) - (clock[0] - began)
                    if check and left > 0.1 * sum(seconds):
                        assert task.fields["ends"] - clock[0] == pytest.approx(left, rel=0.3)
                watch(STEP)
    assert task.completed == images * len(seconds)


def test_an_error_map_has_a_speed_of_its_own(screen, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(meter.time, "perf_counter", lambda: clock[0])
    with terminal.progress_bar(quiet=False) as bar:
        watch = meter.Meter(bar, "photo.png", 104, quiet=False)
        (task,) = bar.tasks
        for _ in range(4):
            clock[0] += 10
            watch(STEP)
        for share in range(1, 31):
            clock[0] += 2
            watch.finished((4 + share) / 104, "error map")
        assert task.fields["ends"] - clock[0] == pytest.approx(2 * 70, rel=0.01)


@pytest.mark.parametrize("quiet", [True, False])
def test_a_pipe_gets_the_estimate_alone_unless_quiet(monkeypatch, quiet):
    screen = Console(file=io.StringIO(), force_terminal=False, color_system=None)
    monkeypatch.setattr(terminal, "console", lambda **_: screen)
    monkeypatch.setattr(meter, "TRIAL", 0.0)
    with terminal.progress_bar(quiet=quiet) as bar:
        watch = meter.Meter(bar, "photo.png", 1, quiet=quiet)
        for _ in range(4):
            watch.piece(1e-9)
    lines = screen.file.getvalue().splitlines()
    assert len(lines) == (0 if quiet else 1)
    assert quiet or lines[0].startswith("photo.png: up to about ")


@pytest.mark.parametrize(("seconds", "said"), [(60, "a minute"), (100, "2 minutes"), (7200, "2.0 hours")])
def test_durations_in_words(seconds, said):
    assert meter.spoken(seconds) == said


def test_a_network_reports_the_tiles_of_its_passes(monkeypatch):
    monkeypatch.setattr(identity_path, "tile_side", lambda *_: 16)
    shares = []
    network = IdentityPath(IdentityPathConfig(kernel_size=4, shrinkage=EnergyGatedConfig(window=3, terms=1)))
    x, sigma = torch.rand(2, 1, 20, 30), torch.tensor([0.1])
    before = network(x, sigma)
    follow(network, shares.append)
    assert torch.equal(network(x, sigma), before)
    assert len(shares) == 4
    assert sum(shares) == pytest.approx(1)
    network.envelope_and_gradient(x, sigma)
    assert sum(shares) == pytest.approx(2)


def test_a_tile_size_changes_the_tiles_alone(run, photo, tmp_path, monkeypatch):
    tiles, piece = [], meter.Meter.piece
    monkeypatch.setattr(meter.Meter, "piece", lambda self, share: (tiles.append(share), piece(self, share)))
    common = ("denoise", photo, "--noise", "0.05", "--model", "gray-fast")
    assert run(*common, "-o", tmp_path / "whole.png")[0] == 0
    assert run(*common, "-o", tmp_path / "tiled.png", "--tile-size", 32)[0] == 0
    assert tiles == [pytest.approx(1)] + [pytest.approx(1 / 4)] * 4
    assert (tmp_path / "whole.png").read_bytes() == (tmp_path / "tiled.png").read_bytes()
    code, _, err = run(*common, "-o", tmp_path / "a.png", "--tile-size", 32, "--model", "gray-equilibrium")
    assert (code, err.count("\n"), "computes images whole" in err) == (1, 1, True)
    code, _, err = run(*common, "-o", tmp_path / "a.png", "--tile-size", 8)
    assert (code, "--tile-size" in err) == (2, True)


def test_the_start_is_shown_while_the_model_is_imported(screen, photo, tmp_path):
    seen = []

    def start():
        deadline = time.monotonic() + 5
        while "starting" not in screen.file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        seen.append(screen.file.getvalue())
        return lambda *_: {}

    job = SimpleNamespace(steps=1, costs=None, open=start, describe=dict)
    run_batch(job, [photo], tmp_path / "out.png", Batch(), read=(".png",))
    assert "starting" in seen[0]
    assert "starting" not in screen.file.getvalue().splitlines()[-1]


def test_the_search_for_the_kernel_is_shown(screen):
    with terminal.progress_bar(quiet=False) as bar:
        watch = meter.Meter(bar, "photo.png", 4, quiet=False)
        (task,) = bar.tasks
        watch.preparing("blur kernel", 0.314)
        assert (task.completed, task.fields["note"]) == (0, "blur kernel: 31%")
        watch(STEP)
        assert task.completed == 1
        watch.finished(0.5, "error map")
        assert (task.completed, task.fields["note"]) == (2, "error map")


@pytest.mark.parametrize("quiet", [True, False])
def test_a_pipe_gets_a_line_for_each_stage(monkeypatch, quiet):
    screen = Console(file=io.StringIO(), force_terminal=False, color_system=None)
    monkeypatch.setattr(terminal, "console", lambda **_: screen)
    with terminal.doing("gray.onnx", quiet) as show:
        for words in (
            "building the graph",
            "comparing with torch, run 1 of 2",
            "comparing with torch, run 2 of 2",
        ):
            show(words)
    lines = screen.file.getvalue().splitlines()
    assert lines == ([] if quiet else ["gray.onnx: building the graph", "gray.onnx: comparing with torch"])


def test_parts_of_the_work_add_up(screen):
    with terminal.progress_bar(quiet=False) as bar:
        watch = meter.Meter(bar, "stack.tif", 4, quiet=False)
        (task,) = bar.tasks
        watch.begin(2, 5)  # two images are left from an interrupted run
        assert (task.completed, task.total, task.fields["note"]) == (8, 20, "image 3 of 5")
        watch(STEP)
        watch.finished(0.5)
        assert task.completed == 10
        watch.begin(3, 5)
        assert (task.completed, task.total) == (12, 20)
