"""``--ray``: the same batch in workers of Ray, some of which are killed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from PIL import Image

from gradprox.cli import option_values, ray_workers
from gradprox.cli.deblur import Deblurring
from gradprox.errors import InputError
from gradprox.images import EXAMPLE_IMAGE

# A job whose worker is killed at 2.png for the first time, and at 3.png every time.
KILLED = """
    import os, signal, sys
    from pathlib import Path
    from gradprox.cli.deblur import Deblurring
    from gradprox.cli.groups import Batch
    from gradprox.cli.jobs import run_batch

    class Killed(Deblurring):
        def open(self, threads=None):
            work = super().open(threads)

            def killed(source, target, show):
                mark = target.parent.parent / "mark"
                if source.name == "3.png" or (source.name == "2.png" and not mark.exists()):
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return work(source, target, show)

            return killed

    def main(photos, out, report):
        batch = Batch(json=Path(report), workers=2, ray="own")
        run_batch(Killed(kernel="disk:1"), [Path(photos)], out, batch, read=[".png"])
"""

# A cluster of two machines of one processor each, one of which is lost when the first image is done.
LOST = """
    import pathlib, subprocess, sys, time
    from ray.cluster_utils import Cluster

    photos, out = sys.argv[1:]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    lost = cluster.add_node(num_cpus=1)
    command = [sys.executable, "-m", "gradprox", "deblur", photos, "--kernel", "disk:1", "-o", out]
    process = subprocess.Popen([*command, "--ray", cluster.address, "--workers", "2"])
    while process.poll() is None and not any(pathlib.Path(out).glob("[!.]*")):
        time.sleep(0.05)
    cluster.remove_node(lost, allow_graceful=False)
    code = process.wait(timeout=200)
    cluster.shutdown()
    sys.exit(code)
"""


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(EXAMPLE_IMAGE) as image:
        for i in range(5):
            image.convert("L").crop((i, i, i + 40, i + 36)).save(folder / f"{i}.png")
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def records(report):
    """Return the records of a report, without what differs between two runs."""
    images = json.loads(report.read_text())["images"]
    return [{k: v for k, v in image.items() if k not in ("seconds", "output")} for image in images]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["--ray", "a.png", "-o", "b.png"], ["--ray", "own", "a.png", "-o", "b.png"]),
        (["a.png", "--ray"], ["a.png", "--ray", "own"]),
        (["--ray", "node1:6379", "a.png"], ["--ray", "node1:6379", "a.png"]),
        (["--ray", "auto"], ["--ray", "auto"]),
        (["--ray=x", "a.png"], ["--ray=x", "a.png"]),
        (["--ray", "--", "--ray"], ["--ray", "own", "--", "--ray"]),
    ],
)
def test_an_address_is_told_from_a_file(given, read):
    assert option_values.with_ray_address(given) == read


def nodes(*processors):
    return [{"Alive": count > 0, "Resources": {"CPU": abs(count)}} for count in processors]


@pytest.mark.parametrize(
    ("machines", "workers", "files", "expected"),
    [
        (nodes(8), None, 100, (8, 1)),
        (nodes(8), None, 2, (2, 4)),
        (nodes(8), 3, 2, (3, 2)),  # as many threads as --workers 3 gives
        (nodes(2), 4, 9, (4, 1)),
        (nodes(4, 4), 1, 9, (1, 4)),  # no machine has 8 processors
        (nodes(4, 4, -64), None, 99, (8, 1)),
    ],
)
def test_workers_share_the_processors(machines, workers, files, expected):
    assert ray_workers.shares(machines, workers, files) == expected


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_why_ray_cannot_be_used_is_one_line(run, photos, tmp_path, monkeypatch):
    arguments = ("denoise", photos, "--model", "gray-small", "-o", tmp_path / "out", "--ray")
    monkeypatch.setattr(ray_workers, "find_spec", lambda name: None)
    assert run(*arguments) == (1, "", "error: --ray needs the package ray: pip install ray\n")
    monkeypatch.setattr(ray_workers, "find_spec", lambda name: True)
    began = time.monotonic()
    address = f"127.0.0.1:{free_port()}"
    assert run(*arguments, address) == (
        1,
        "",
        f"error: --ray {address}: no answer (Connection refused): is the cluster running?\n",
    )
    assert time.monotonic() - began < 2 * ray_workers.PATIENCE
    assert "write HOST:PORT" in run(*arguments[:-1], "--ray=node1")[2]
    with pytest.raises(InputError, match="no answer"):
        ray_workers.check_address("127.0.0.1:99999")


def test_a_worker_says_why_it_cannot_begin(tmp_path):
    job = Deblurring(kernel="disk:1")
    version = ray_workers.__version__
    assert "install the same version" in ray_workers._Worker(job, 1, tmp_path, "0.0.1").open()
    assert "need the same files" in ray_workers._Worker(job, 1, tmp_path / "none", version).open()
    broken = ray_workers._Worker(Deblurring(kernel="nothing.npy"), 1, Path.cwd(), version)
    assert "nothing.npy" in broken.open()


@pytest.mark.slow
def test_killed_workers_lose_and_double_nothing(run, photos, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason='needs pip install "gradprox[ray]"')
    (tmp_path / "killed.py").write_text(textwrap.dedent(KILLED))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    reports = [tmp_path / "ray.json", tmp_path / "here.json"]
    arguments = [str(path) for path in (photos, tmp_path / "ray", reports[0])]
    done = subprocess.run(
        [sys.executable, "-c", f"import killed; killed.main(*{arguments})"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    *lines, summary = done.stdout.splitlines()
    assert summary.startswith("4 done, 1 failed in "), done.stderr
    assert sorted(line.split()[0] for line in lines) == ["0.png", "1.png", "2.png", "4.png"]
    assert f"error: {photos / '3.png'}: {ray_workers.KILLED}" in done.stderr
    assert (tmp_path / "mark").exists()

    here = ("deblur", photos, "--kernel", "disk:1", "--workers", 2, "-o", tmp_path / "here")
    assert run(*here, "--json", reports[1])[0] == 0
    (tmp_path / "here" / "3.png").unlink()
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")
    found, expected = (records(report) for report in reports)
    assert found[3] == {"name": "3.png", "input": str(photos / "3.png"), "error": found[3]["error"]}
    assert found[:3] + found[4:] == expected[:3] + expected[4:]


@pytest.fixture
def cluster(monkeypatch):
    """Start a Ray on this machine, and return its address."""
    pytest.importorskip("ray", reason='needs pip install "gradprox[ray]"')
    port = free_port()
    for name, value in {**ray_workers.SETTINGS, "RAY_AUTH_MODE": "disabled"}.items():
        monkeypatch.setenv(name, value)
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--num-cpus", "2"]
    place = ["--port", str(port), "--include-dashboard", "false"]
    with subprocess.Popen([*command, *place], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = iter(process.stdout)
        yield next(match[1] for line in said if (match := re.search(r"ray start --address='(.*)'", line)))
        process.terminate()
        process.communicate()


@pytest.mark.slow
def test_a_lost_machine_loses_nothing(photos, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason='needs pip install "gradprox[ray]"')
    for name, value in {**ray_workers.SETTINGS, "RAY_AUTH_MODE": "disabled"}.items():
        monkeypatch.setenv(name, value)
    for i in range(5, 12):
        shutil.copy(photos / "0.png", photos / f"{i}.png")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LOST), photos, tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^12 done in ", done.stdout, flags=re.MULTILINE)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in photos.iterdir()}


def command(*arguments, patch="pass"):
    """Run a command line in a process of its own: Ray may be used once in a process."""
    script = f"import sys; {patch}; from gradprox.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_a_cluster_finishes_a_batch(photos, tmp_path, cluster, monkeypatch):
    monkeypatch.chdir(tmp_path)  # workers read relative paths, too
    arguments = ("denoise", "photos", "--noise", "0.05", "-o", "out")
    assert command("denoise", "photos/0.png", "--noise", "0.05", "-o", "out/").returncode == 0
    os.utime(tmp_path / "out" / "0.png", (0, 0))
    done = command(*arguments, "--resume", "--ray", cluster)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("4 done, 1 skipped in ")
    assert (tmp_path / "out" / "0.png").stat().st_mtime == 0
    found = contents(tmp_path / "out")
    assert command(*arguments, "--overwrite").returncode == 0
    assert found == contents(tmp_path / "out")
    # Another version of Ray is refused in one line.
    done = command(*arguments, "--overwrite", "--ray", cluster, patch="import ray; ray.__version__ = '0.1'")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: --ray {cluster}: Version mismatch: ")
    assert done.stderr.count("\n") == 1
