"""``denoiser.onnx``: the learned prox as one ONNX model of any batch and image size."""

from __future__ import annotations

from pathlib import Path

import torch
from onnx import ModelProto
from torch import Tensor, nn

from gradprox.batch import image_sum
from gradprox.errors import InputError
from gradprox.export import artifact
from gradprox.export.checks.denoiser_check import examine_denoiser
from gradprox.export.checks.equilibrium_check import examine_equilibrium
from gradprox.export.checks.report import Report
from gradprox.export.graph.equilibrium_graph import equilibrium_model
from gradprox.export.graph.one_piece import OnePiece
from gradprox.export.graph.precision import PRECISIONS, lowered
from gradprox.export.graph.tracing import trace
from gradprox.networks import Equilibrium, IdentityPath
from gradprox.priors import LearnedProx


class DenoiserGraph(nn.Module):
    """What is exported of a one-pass network.

    Args:
        network: the network.
        potential: whether to return ``Phi(y)`` too.
    """

    def __init__(self, network: IdentityPath, potential: bool) -> None:
        super().__init__()
        self.network = OnePiece(network)
        self.potential = potential

    def forward(self, y: Tensor, sigma: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return ``D(y)`` for ``y`` of ``(B, C, H, W)``, and ``Phi(y)``, ``(B,)`` in double precision."""
        if not self.potential:
            return self.network(y, sigma)
        envelope, x = self.network.envelope_and_gradient(y, sigma)
        return x, image_sum(y * y) / 2 - envelope


def export_denoiser(
    model: str | Path | LearnedProx,
    path: str | Path,
    *,
    potential: bool = False,
    precision: str = "float32",
) -> Report:
    """Write a learned prox as a verified ONNX file.

    The model has the inputs ``y``, float32 ``(batch, channels, height, width)`` of any size from 1x1, and ``sigma``,
    float32 ``(1,)``, one noise level for the batch; and the output ``x`` of the shape of ``y``. The channels are
    those of the network, 1 or 3; colors go through a gray model channel by channel, as batches. One level, and not
    one for each image, because depthwise convolutions with different filters for each image are much slower.
    Borders are continued inside the model, by the rule that keeps its Jacobian symmetric. The file also carries the
    weights as they were trained (`gradprox.load_model` reads them), its certificate, and its verification's report.

    The iterations of an `Equilibrium` become a ``Loop``, which ends when every image is within the network's
    ``tolerance``, or after a thousand steps; an output ``arrived``, bool ``(batch,)``, says of which images it is
    true. It takes images whole: every pixel of a result depends on every one of the input.

    Args:
        model: the name of a shipped model, a model file, or a model.
        path: the file to write, whole or not at all.
        potential: add an output ``potential``, float64 ``(batch,)``: the convex ``Phi(y)`` whose gradient ``x`` is.
        precision: what it computes in; its inputs and outputs are float32 anyway. ``"float16"``, for GPUs, is a
            rounded copy: its certificate holds before rounding, and what rounding does was measured. ``"int8"`` is
            not certified: no proximal operator, and refused as a prior. Both are for one-pass networks.

    Returns:
        What was verified; the same is stored in the file.

    Raises:
        InputError: there is no such model or precision, its architecture cannot be exported, or a potential or an
            equilibrium is wanted in low precision.
        VerificationError: the exported model is not the same function, or not a proximal operator. Nothing is
            written.
        OSError: the file cannot be written.

    Example:
        >>> from gradprox.networks import IdentityPathConfig, RidgeConfig
        >>> small = LearnedProx(IdentityPath(IdentityPathConfig(kernel_size=2, shrinkage=RidgeConfig(terms=1))))
        >>> report = export_denoiser(small, "denoiser.onnx")
        >>> Path("denoiser.onnx").exists()
        True
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision}: unknown; choose one of {', '.join(PRECISIONS)}")
    if potential and precision != "float32":
        raise InputError(f"the potential is exact, and that of no {precision} model: leave one of them out")
    prior, network = artifact.resolve(model)
    metadata = artifact.describe(prior, network, "denoiser", precision)
    report: Report
    if isinstance(network, Equilibrium):
        if precision != "float32":
            raise InputError(f"{prior.name}: {precision} is too coarse for the iterations of an equilibrium")
        exported = equilibrium_model(network, potential)
        report = examine_equilibrium(exported, artifact.serialize(exported, metadata), network)
    else:
        exported = lowered(_one_pass_model(network, potential), precision)
        report = examine_denoiser(exported, artifact.serialize(exported, metadata), network, precision)
    artifact.write(artifact.serialize(exported, metadata | {"report": report.to_json()}), path)
    return report


def _one_pass_model(network: IdentityPath, potential: bool) -> ModelProto:
    return trace(
        DenoiserGraph(network, potential),
        (torch.zeros(2, network.channels, 12, 13), torch.full((1,), 0.1)),
        ("y", "sigma"),
        ("x", "potential") if potential else ("x",),
        {"y": {0: "batch", 2: "height", 3: "width"}},
    )
