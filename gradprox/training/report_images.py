"""What a training shows: its curve, and images before and after."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gradprox.files import written_whole
from gradprox.images import ImageData, write_image
from gradprox.networks import GradientNetwork
from gradprox.priors import prior_of
from gradprox.training.run_log import Curve
from gradprox.training.validation import Example

CHART_FILE = "curve.png"
EXAMPLES_FOLDER = "examples"
EXAMPLES = 3
# The loss is averaged over this share of the steps so far, because the loss of a batch depends on its images.
SMOOTHED = 0.05
GAP = 4  # white pixels between images


def draw_curve(
    folder: Path, curve: Curve, history: Sequence[Mapping[str, Any]], baseline: Mapping[str, float]
) -> None:
    """Write ``curve.png``: the loss by step and, if there were validations, what PSNR gained over the baseline.

    Args:
        folder: of the run.
        curve: see `gradprox.training.run_log`.
        history: the validations, see there.
        baseline: PSNR in dB of another model, by name; may be empty.
    """
    # Not pyplot, which looks for a window system and keeps global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9 if baseline else 5, 3.4), layout="constrained")
    axes = figure.subplots(1, 2 if baseline else 1, squeeze=False)[0]
    width = max(1, round(SMOOTHED * len(curve)))
    losses = torch.tensor([loss for _, _, loss in curve], dtype=torch.float64)
    axes[0].plot([step for step, _, _ in curve][width - 1 :], losses.unfold(0, width, 1).mean(dim=1))
    axes[0].set(xlabel="step", ylabel="loss" if width == 1 else f"loss, mean of {width} steps")
    for name in baseline:
        gains = [entry["psnr"][name] - baseline[name] for entry in history]
        axes[1].plot([entry["step"] for entry in history], gains, marker="o", label=name)
    if baseline:
        axes[1].axhline(0, color="gray", linewidth=1)
        axes[1].set(xlabel="step", ylabel="gain in dB")
        axes[1].legend()
    for place in axes:
        place.grid(alpha=0.3)
    # matplotlib's own writer may drop the end of a file on a full disk, without an error.
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    with written_whole(folder / CHART_FILE) as temporary:
        temporary.write_bytes(buffer.getbuffer())


@torch.no_grad()
def write_examples(
    folder: Path, examples: Sequence[Example], networks: Sequence[GradientNetwork], device: torch.device | str
) -> None:
    """Write images side by side: noisy, denoised by each network, and clean where it is known."""
    for example in examples:
        noisy = example.noisy.to(device)
        row = [example.noisy, *(prior_of(network)(noisy, example.level).cpu() for network in networks)]
        if example.clean is not None:
            row.append(example.clean)
        white = torch.ones_like(row[0][..., :GAP])
        spaced = [part for image in row for part in (image, white)][:-1]
        name = re.sub(r"\W+", "-", re.sub(r"\.\w+", "", example.name))  # "a.tif, page 2" becomes "a-page-2"
        write_image(folder / EXAMPLES_FOLDER / f"{name}.png", ImageData(torch.cat(spaced, dim=-1)))
