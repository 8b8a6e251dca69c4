"""The record of a run: its log, its curve, its validations, and the files that they become."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradprox.errors import InputError
from gradprox.files import written_whole
from gradprox.networks import GradientNetwork
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.priors import load_network, save_network
from gradprox.training.recipe import Recipe
from gradprox.training.report_images import EXAMPLES, draw_curve, write_examples
from gradprox.training.run_log import read_curve, write_curve, write_log
from gradprox.training.updates import learning_rate
from gradprox.training.validation import Validation
from gradprox.zoo import load_model
from gradprox.zoo.models import PROX

MODEL_FILE = "model.safetensors"
BEST_FILE = "best.safetensors"


class Record:
    """What a run has done so far, and what it writes beside its checkpoint.

    Args:
        folder: of the run.
        log: see `gradprox.training.run_log.open_log`; entries after ``start`` are dropped, because they are repeated.
        recipe: of the run.
        start: number of finished steps.
        validation: how networks are judged, if they are.
        patience: largest number of validations in a row without a new best one.
        device: of the networks.

    Raises:
        InputError: there is a patience, and no validation.
    """

    def __init__(
        self,
        folder: Path,
        log: dict[str, Any],
        recipe: Recipe,
        start: int,
        validation: Validation | None,
        patience: int | None,
        device: Any,
    ) -> None:
        if patience is not None and validation is None:
            raise InputError("patience counts validations: give validation images")
        self.folder, self.log, self.recipe, self.validation = folder, log, recipe, validation
        self.patience, self.device = patience, device
        log["history"] = [entry for entry in log["history"] if entry["step"] <= start]
        self.curve = read_curve(folder)[:start]
        self._seconds_before, self._began = float(log.get("seconds", 0.0)), time.monotonic()
        self.baseline: GradientNetwork | None = None
        if validation is not None:
            name = recipe.initial or PROX[recipe.network.channels]
            baseline = load_model(name, device).network
            if "baseline" not in log:
                log["baseline"] = {"model": name, "psnr": validation.psnr(baseline)}
            self.baseline = baseline

    def add(self, step: int, loss: float) -> None:
        """Add a finished step."""
        self.curve.append((step, learning_rate(self.recipe, step - 1), loss))

    def validate(self, step: int, loss: float, network: ImageNetwork) -> dict[str, float] | None:
        """Judge a network, and draw the curve; return PSNR in dB by name, or None if there is no validation."""
        if self.validation is None:
            return None
        measured = self.validation.psnr(network)
        self.log["history"].append({"step": step, "loss": loss, "psnr": measured})
        if self._best is self.log["history"][-1]:
            save_network(network, self.folder / BEST_FILE)
        self.draw()
        return measured

    def gain(self, measured: Mapping[str, float] | None) -> dict[str, float] | None:
        """Return by how much figures exceed those of the baseline."""
        if measured is None:
            return None
        return {name: psnr - self.log["baseline"]["psnr"][name] for name, psnr in measured.items()}

    @property
    def is_stalled(self) -> bool:
        """Whether the patience is over."""
        history = self.log["history"]
        return bool(
            self.patience is not None
            and history
            and len(history) - 1 - history.index(self._best) >= self.patience
        )

    @property
    def _best(self) -> dict[str, Any]:
        best: dict[str, Any] = max(self.log["history"], key=lambda entry: sum(entry["psnr"].values()))
        return best

    def check_finite(self) -> None:
        """Refuse a loss that is not finite.

        Raises:
            InputError: the last one is not.
        """
        step, _, loss = self.curve[-1]
        if not math.isfinite(loss):
            raise InputError(f"the loss is {loss} at step {step}: lower the learning rate")

    def write_curve(self) -> None:
        """Write ``curve.csv``: before the checkpoint, because resuming drops rows, but cannot fill a gap."""
        write_curve(self.folder, self.curve)

    def write_log(self) -> None:
        """Write ``run.json``, with the seconds so far."""
        self.log["seconds"] = self._seconds_before + time.monotonic() - self._began
        write_log(self.folder, self.log)

    def draw(self) -> None:
        """Write ``curve.png``."""
        baseline = self.log["baseline"]["psnr"] if self.validation is not None else {}
        draw_curve(self.folder, self.curve, self.log["history"], baseline)

    def finish(self, network: ImageNetwork) -> Path:
        """Write the model, or the best one if there is a patience, and images before and after; return its path."""
        path, best, history = self.folder / MODEL_FILE, self.folder / BEST_FILE, self.log["history"]
        kept = self.patience is not None and bool(history) and best.exists()
        if history:
            entry = self._best if kept else history[-1]
            self.log["result"] = entry | {"gain": self.gain(entry["psnr"])}
            self.write_log()
        if kept:
            with written_whole(path) as temporary:
                temporary.write_bytes(best.read_bytes())
            result: GradientNetwork = load_network(path).to(self.device)
        else:
            save_network(network, path)
            result = network
        if self.validation is None or self.baseline is None:
            self.draw()
        else:
            write_examples(
                self.folder, self.validation.examples(EXAMPLES), (self.baseline, result), self.device
            )
        return path
