"""Generate the tables of the pages: solvers from their docstrings, figures from cards and benchmark files.

The mark ``<!-- table: NAME -->`` in a page is replaced by table ``NAME``. Files in ``benchmarks/figures`` are of three
kinds:

* ``MODEL/TASK-SET-ANYTHING.json``, written by ``gradprox evaluate TASK --data SET --json``;
* ``runtime-ANYTHING.json``, written by ``benchmarks/runtime.py --json``;
* ``priors-SET.json``, written by ``benchmarks/priors.py --json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import gradprox.solvers
from gradprox.zoo import model_names, read_card

# Seconds per megapixel on one and on two threads, their ratio, and the peak memory in MB per megapixel on one.
RUNTIME_COLUMNS = tuple(
    f"{engine}, {figure}"
    for engine in ("torch", "ONNX Runtime")
    for figure in ("s, one thread", "two", "ratio", "MB")
)
FIGURES = Path(__file__).parents[2] / "benchmarks" / "figures"
_MARK = re.compile(r"<!-- table: (\w+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks of a page by tables.

    Raises:
        KeyError: no table has the name in a mark, so the build fails.
        ValueError: a table has no rows, so the build fails.
    """
    return _MARK.sub(lambda mark: TABLES[mark[1]](), markdown)


@dataclass(frozen=True)
class Run:
    """One benchmark file.

    Attributes:
        test_set: name of the folder of images.
        report: contents of the file.
    """

    test_set: str
    report: dict[str, Any]

    def describe(self) -> tuple[str, str]:
        """Return a description of the run and the command that repeats it."""
        task, settings = self.report["task"], self.report["settings"]
        noise = f"{255 * settings['noise']:g}"
        command = f"gradprox evaluate {task} --data {self.test_set} --model {self.report['model']}"
        command += " --color" if settings["color"] else ""
        if task == "denoise":
            return f"denoising, noise {noise}", f"{command} --noise {noise}/255"
        if task == "deblur":
            kernel = Path(settings["kernel"]).name
            words = f"deblurring, {kernel}, {settings['boundary']}, noise {noise}"
            return words, (
                f"{command} --kernel {kernel} --boundary {settings['boundary']} "
                f"--solver {settings['solver']} --noise {noise}/255"
            )
        words = f"compressed sensing, {settings['sampling']}, {100 * settings['ratio']:g} %"
        return words, (
            f"{command} --sampling {settings['sampling']} --ratio {settings['ratio']:g} "
            f"--solver {settings['solver']} --noise {noise}/255"
        )


def runs() -> list[Run]:
    """Return the benchmark files, sorted by model, task, test set and settings."""
    found = [
        Run(path.stem.split("-")[1], json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(FIGURES.glob("*/*.json"))
    ]
    return sorted(found, key=lambda run: (run.report["model"], run.report["task"], _order(run)))


def _order(run: Run) -> tuple[str, float, str, float]:
    settings = run.report["settings"]
    return run.test_set, settings["noise"], str(settings.get("sampling", "")), settings.get("ratio", 0.0)


def models_table() -> str:
    """Return one row per shipped model, from its card."""
    rows = []
    for card in map(read_card, model_names()):
        low, high = card.noise_range
        rows.append(
            (
                f"`{card.name}`",
                card.summary,
                f"{card.parameters:,}",
                f"{low:g} to {high:g}",
                "none proven" if card.lipschitz_bound is None else f"{card.lipschitz_bound:.1f}",
                f"{card.training_seconds / 60:.0f} minutes, {card.hardware}",
            )
        )
    columns = ("model", "for", "parameters", "noise, of 255", "Lipschitz constant at most", "trained in")
    return _table(columns, rows)


def denoising_table() -> str:
    """Return mean PSNR per shipped model and test set, from the cards."""
    cards = [read_card(name) for name in model_names()]
    levels = sorted({level for card in cards for row in card.psnr.values() for level in row}, key=float)
    rows = [
        (f"`{card.name}`", test_set, *(f"{row[level]:.2f}" if level in row else "" for level in levels))
        for card in cards
        for test_set, row in card.psnr.items()
    ]
    return _table(("model", "images", *(f"noise {level}" for level in levels)), rows)


def benchmarks_table() -> str:
    """Return the means of each benchmark file, with the command that repeats it."""
    rows = []
    for run in runs():
        words, command = run.describe()
        mean, images = run.report["mean"], run.report["images"]
        rows.append(
            (
                f"`{run.report['model']}`",
                words,
                f"{run.test_set} ({len(images)})",
                f"{mean['psnr_input']:.2f}",
                f"{mean['psnr']:.2f}",
                f"{mean['ssim']:.4f}",
                str(sum(image["objective_increases"] for image in images)),
                f"`{command}`",
            )
        )
    columns = (
        "model",
        "task",
        "images",
        "input, dB",
        "restored, dB",
        "SSIM",
        "objective increases",
        "command",
    )
    return _table(columns, rows)


def runtime_table() -> str:
    """Return time and memory of denoising in torch and in ONNX Runtime."""
    rows = []
    for path in sorted(FIGURES.glob("runtime-*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        runs = {(run["engine"], run["threads"]): run for run in found["runs"]}
        row = [f"`{found['model']}`"]
        for engine in ("torch", "onnxruntime"):
            one, two = runs[engine, 1], runs[engine, 2]
            row += [f"{run['ms_per_megapixel'] / 1e3:.2f}" for run in (one, two)]
            row += [
                f"{one['ms_per_megapixel'] / two['ms_per_megapixel']:.2f}",
                f"{one['mb_per_megapixel']:.0f}",
            ]
        rows.append((*row, f"{found['file_bytes'] / 1e3:.0f}"))
    columns = ("model", *RUNTIME_COLUMNS, "file, kB")
    return _table(columns, rows)


def priors_table() -> str:
    """Return means over a test set for the shipped models and for other denoisers."""
    rows = []
    for path in sorted(FIGURES.glob("priors-*.json")):
        found, test_set = json.loads(path.read_text(encoding="utf-8")), path.stem.split("-")[1]
        command = f"python benchmarks/priors.py --data {test_set} --noise {found['noise']:g}"
        for name, images in found["rows"].items():
            mean = {key: fmean(image[key] for image in images) for key in images[0]}
            rows.append(
                (
                    f"`{name}`",
                    f"{test_set} ({len(images)})",
                    f"{mean['psnr']:.2f}",
                    f"{mean['ssim']:.4f}",
                    f"{mean['seconds_per_megapixel']:.2f}",
                    f"{mean['flop_per_pixel'] / 1e3:.1f}" if "share" in mean else "",
                    f"{mean['share']:.0%}" if "share" in mean else "",
                    f"`{command} --threads {found['threads']}`",
                )
            )
    columns = ("denoiser", "images", "PSNR, dB", "SSIM", "s/Mpx", "kFLOP per pixel", "share", "command")
    return _table(columns, rows)


def solvers_table() -> str:
    """Return one row per solver, with the first line of its docstring."""
    public = (getattr(gradprox.solvers, name) for name in gradprox.solvers.__all__)
    rows = [
        (f"`{solver.__name__}`", (solver.__doc__ or "").splitlines()[0].replace("``", "`"))
        for solver in public
        if isinstance(solver, type)
        and issubclass(solver, gradprox.solvers.Solver)
        and solver is not gradprox.solvers.Solver
    ]
    return _table(("solver", "one step"), sorted(rows))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        raise ValueError(f"a table of {columns[0]} has no rows: a benchmark file was moved or renamed")
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


TABLES: dict[str, Callable[[], str]] = {
    "models": models_table,
    "denoising": denoising_table,
    "benchmarks": benchmarks_table,
    "runtime": runtime_table,
    "priors": priors_table,
    "solvers": solvers_table,
}
