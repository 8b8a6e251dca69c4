"""``solver.onnx``: a whole plug-and-play reconstruction as one ONNX model."""

from __future__ import annotations

from pathlib import Path

from gradprox.errors import InputError
from gradprox.export import onnx_file
from gradprox.export.checks.preset_check import examine_preset
from gradprox.export.checks.report import Progress, silent
from gradprox.export.checks.solver_comparison import SolverReport
from gradprox.export.graph.blur import BOUNDARIES
from gradprox.export.graph.preset_graph import preset_model
from gradprox.export.graph.problem import Deblurring, Sensing
from gradprox.export.graph.recipe import recipe_of
from gradprox.export.runtime.solver_settings import SOLVERS
from gradprox.networks import Equilibrium
from gradprox.physics import BlockSensing, HadamardSensing
from gradprox.physics import Sensing as DescribedSensing
from gradprox.priors import NetworkPrior, prior_of
from gradprox.solvers.capabilities import proximal
from gradprox.solvers.presets import PROXIMAL, Task


def export_solver(
    problem: str | HadamardSensing | BlockSensing | DescribedSensing,
    solver: str | None,
    model: str | Path | NetworkPrior,
    path: str | Path,
    *,
    boundary: str = "valid",
    progress: Progress = silent,
) -> SolverReport:
    """Write a solver, with its physics and its prior, as one verified ONNX file.

    By default the solver is the preset of the command line (`gradprox.solvers.preset`): a warm start at falling noise
    levels, then a solver whose steps descend one objective. This is HQS for deblurring, and for compressed sensing
    FISTA, or HQS with a model that has an explicit energy only. Such a model needs a line search; it is a ``Loop``
    inside each step. ``solver`` names another last solver, as ``gradprox deblur --solver`` does.

    Inputs of every file: ``y``, float32: photos ``(batch, channels, height, width)`` of any size, or measurements of
    any number of images and channels; for deblurring ``kernel``, float32 ``(1, 1, kernel_height, kernel_width)``;
    ``tol``, float32 ``(1,)``; ``max_iter``, an int64 scalar; and ``x0``, the first images of the iterations, in the
    shape of ``x``. ``x0`` is optional: without it, the iterations start where those of torch do. With a valid boundary
    it is extended by its edge pixels, as the photo is.

    Further inputs, float32 ``(1,)``: ``noise``, the standard deviation of the noise, and ``strength``, which multiplies
    the weight of the regularizer (HQS, NMAPG, GD) or the noise level of the prior (FISTA, PGD). ``max_iter`` counts the
    steps after the warm start. The metadata hold the numbers of the preset, ``preset``. A graph cannot refuse illegal
    settings; `gradprox.export.runtime.OnnxSolver` refuses them.

    Outputs: images ``x``; ``residuals``, float64 ``(batch, K)``, and ``objective``, float64 ``(batch, K + 1)``, as in
    `gradprox.solvers.Result`; ``steps`` and ``status``, int64 ``(batch,)``. A status is 0 where the budget ran out, 1
    where the image converged, 2 where values became NaN or infinite, and 3 where no step lowers the objective.

    Args:
        problem: ``"deblur"``, or compressed sensing: a `gradprox.physics.Sensing`, or its physics alone. Image size
            and patterns become part of the file. ``gradprox-runtime recover`` needs a file that was made from the
            first: its sampling tells which measurements fit.
        solver: the last solver of the preset: ``"hqs"``, ``"fista"``, ``"nmapg"``, ``"pgd"`` or ``"gd"``; the default
            of `gradprox.solvers.preset` if not given.
        model: the name of a shipped model, a model file, or a model.
        path: the file to write, whole or not at all.
        boundary: the boundary of a blur: ``"valid"`` for photos, ``"circular"`` for periodic images, ``"symmetric"``
            for mirrored ones.
        progress: called with what is being done, in words.

    Returns:
        The report of the verification, which the file holds too.

    Raises:
        InputError: the problem, solver, boundary or model is unknown; the model is an equilibrium; or the solver is
            FISTA or PGD, which need a prox, and the model has an explicit energy only.
        VerificationError: the exported solver is not the same. Nothing is written.
        OSError: the file cannot be written.
    """
    chosen: Deblurring | Sensing
    if isinstance(problem, str):
        _choose("problem", problem, ("deblur",))
        _choose("boundary", boundary, BOUNDARIES)
        chosen = Deblurring(boundary)
    elif isinstance(problem, DescribedSensing):
        chosen = Sensing(_exportable(problem.physics()), problem.sampling)
    else:
        chosen = Sensing(_exportable(problem))
    described = chosen.metadata()
    network, name = onnx_file.exportable_network(model)
    if isinstance(network, Equilibrium):
        raise InputError(
            f"{name}: is an equilibrium, which iterates, so no solver around it can be exported: export it alone"
        )
    if solver is not None:
        _choose("solver", solver, SOLVERS)
        if solver in PROXIMAL:
            proximal(prior_of(network, name), solver.upper())
    task = Task.DEBLUR if isinstance(chosen, Deblurring) else Task.COMPRESSED_SENSING
    recipe = recipe_of(task, solver, is_prox=network.monotone)
    progress("building the graph")
    metadata = onnx_file.metadata_of(network, name, "solver") | described
    metadata |= {"algorithm": recipe.solver, "preset": recipe.to_json()}
    exported = preset_model(network, recipe, chosen)
    content = onnx_file.serialize(exported, metadata)
    report = examine_preset(exported, content, network, recipe, chosen, progress)
    onnx_file.write(onnx_file.serialize(exported, metadata | {"report": report.to_json()}), path)
    return report


def _exportable(physics: object) -> HadamardSensing | BlockSensing:
    """Return measurements that can be exported, or raise `InputError`."""
    if isinstance(physics, HadamardSensing | BlockSensing):
        return physics
    raise InputError(
        f"problem {type(physics).__name__}: cannot be exported; only Hadamard and block sensing can"
    )


def _choose(kind: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{kind} {value}: cannot be exported; choose one of {', '.join(known)}")
