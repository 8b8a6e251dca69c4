"""``denoiser.onnx``: a denoiser as one ONNX model for any batch and image size."""

from __future__ import annotations

from pathlib import Path

from gradprox.errors import InputError
from gradprox.export import onnx_file
from gradprox.export.checks.denoiser_check import examine_denoiser
from gradprox.export.checks.equilibrium_check import examine_equilibrium
from gradprox.export.checks.report import Progress, Report, silent
from gradprox.export.graph.denoiser_graph import denoiser_model
from gradprox.export.graph.equilibrium_graph import equilibrium_model
from gradprox.export.runtime.container import PRECISIONS
from gradprox.networks import Equilibrium
from gradprox.priors import NetworkPrior


def export_denoiser(
    model: str | Path | NetworkPrior,
    path: str | Path,
    *,
    potential: bool = False,
    precision: str = "float32",
    progress: Progress = silent,
) -> Report:
    """Write a denoiser as a verified ONNX file.

    The model has the inputs ``y``, float32 ``(batch, channels, height, width)`` of any size from 1x1, and ``sigma``,
    float32 ``(1,)``, the noise level of the whole batch. Its output ``x`` has the shape of ``y``. The channels are
    those of the network, 1 or 3; a model of one channel takes the channels of a color image as a batch. One noise
    level per image would make depthwise convolutions much slower. The model extends images at their borders by the
    rule that keeps its Jacobian symmetric. The file also holds the weights (`gradprox.load_model` reads them), the
    certificate of the network, and the report of its verification.

    The iterations of an `Equilibrium` become a ``Loop``. It ends when every image is within the network's
    ``tolerance``, or after a thousand steps. A further output ``arrived``, bool ``(batch,)``, says which images are
    within it. Such a model takes images whole: each output pixel depends on every input pixel.

    Args:
        model: the name of a shipped model, a model file, or a model.
        path: the file to write, whole or not at all.
        potential: add an output ``potential``, float64 ``(batch,)``: ``Phi(y)``, whose gradient is ``x``.
        precision: ``"float32"``; or ``"float16"``, for networks of one pass: a rounded copy for GPUs, to which the
            certificate applies before rounding, and for which the effect of rounding is measured. Inputs and outputs
            are float32 in any case.
        progress: called with what is being done, in words.

    Returns:
        The report of the verification, which the file holds too.

    Raises:
        InputError: there is no such model or precision, the architecture cannot be exported, or a potential or an
            equilibrium is wanted in half precision.
        VerificationError: the exported model is not the same function, or the certificate does not hold for it.
            Nothing is written.
        OSError: the file cannot be written.

    Example:
        >>> from gradprox.networks import IdentityPath, IdentityPathConfig, RidgeConfig
        >>> from gradprox.priors import LearnedProx
        >>> network = IdentityPath(IdentityPathConfig(kernel_size=2, shrinkage=RidgeConfig(terms=1)))
        >>> small = LearnedProx(network)
        >>> report = export_denoiser(small, "denoiser.onnx")
        >>> Path("denoiser.onnx").exists()
        True
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision}: unknown; choose one of {', '.join(PRECISIONS)}")
    if potential and precision != "float32":
        raise InputError(f"the potential needs float32: choose precision float32 instead of {precision}")
    network, name = onnx_file.exportable_network(model)
    metadata = onnx_file.metadata_of(network, name, "denoiser", precision)
    report: Report
    progress("building the graph")
    if isinstance(network, Equilibrium):
        if precision != "float32":
            raise InputError(f"{name}: {precision} is too coarse for the iterations of an equilibrium")
        exported = equilibrium_model(network, potential)
        report = examine_equilibrium(exported, onnx_file.serialize(exported, metadata), network, progress)
    else:
        exported = denoiser_model(network, potential, precision)
        content = onnx_file.serialize(exported, metadata)
        report = examine_denoiser(exported, content, network, precision, progress)
    onnx_file.write(onnx_file.serialize(exported, metadata | {"report": report.to_json()}), path)
    return report
