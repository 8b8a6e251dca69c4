"""``solver.onnx``: a whole plug-and-play reconstruction as one ONNX model."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

from gradprox.errors import InputError
from gradprox.export import onnx_file
from gradprox.export.checks.preset_check import examine_preset
from gradprox.export.checks.report import Progress, silent
from gradprox.export.checks.solver_check import examine_solver
from gradprox.export.checks.solver_comparison import SolverReport
from gradprox.export.graph.blur import BOUNDARIES
from gradprox.export.graph.preset_graph import preset_model
from gradprox.export.graph.problem import Deblurring, Sensing
from gradprox.export.graph.recipe import Recipe, SensingRecipe, recipe_of, sensing_recipe
from gradprox.export.graph.sensing_graph import sensing_model
from gradprox.export.graph.solver_graph import solver_model
from gradprox.export.graph.solver_steps import ALGORITHMS
from gradprox.networks import Equilibrium
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.physics import BlockSensing, HadamardSensing
from gradprox.physics import Sensing as DescribedSensing
from gradprox.priors import NetworkPrior, prior_of
from gradprox.solvers.presets import Task, noise_rule


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
    inside each step. PGD and GD can be exported alone, with a proven step size.

    Inputs of every file: ``y``, float32: photos ``(batch, channels, height, width)`` of any size, or measurements of
    any number of images and channels; for deblurring ``kernel``, float32 ``(1, 1, kernel_height, kernel_width)``;
    ``tol``, float32 ``(1,)``; ``max_iter``, an int64 scalar; and ``x0``, the first images of the iterations, in the
    shape of ``x``. ``x0`` is optional: without it, the iterations start where those of torch do. With a valid boundary
    it is extended by its edge pixels, as the photo is.

    Further inputs, float32 ``(1,)``:

    * a preset takes ``noise``, the standard deviation of the noise, and ``strength``, which multiplies the weight of
      the regularizer (HQS) or the noise level of the prior (FISTA). ``max_iter`` counts the steps after the warm start.
      The metadata hold the numbers of the preset, ``preset``.
    * PGD and GD take ``sigma`` and ``stepsize``, and GD ``lambda_reg``. PGD has none: the weight of its prior is tied
      to the step size, and ``sigma`` sets its strength. The metadata hold ``noise_rule``, by which ``sigma`` and
      ``lambda_reg`` follow from the noise, as in `gradprox.solvers.preset`. With ``max_iter`` 0 the start is returned.

    A graph cannot refuse illegal settings; `gradprox.export.runtime.OnnxSolver` refuses them, such as step sizes at
    which the objective could rise.

    Outputs: images ``x``; ``residuals``, float64 ``(batch, K)``, and ``objective``, float64 ``(batch, K + 1)``, as in
    `gradprox.solvers.Result`; ``steps`` and ``status``, int64 ``(batch,)``. A status is 0 where the budget ran out, 1
    where the image converged, 2 where values became NaN or infinite, and 3 where no step lowers the objective.

    Args:
        problem: ``"deblur"``, or compressed sensing: a `gradprox.physics.Sensing`, or its physics alone. Image size
            and patterns become part of the file. ``gradprox-runtime recover`` needs a file that was made from the
            first: its sampling tells which measurements fit.
        solver: the preset, ``"hqs"`` or ``"fista"``, if not given; or ``"pgd"`` or ``"gd"``.
        model: the name of a shipped model, a model file, or a model.
        path: the file to write, whole or not at all.
        boundary: the boundary of a blur: ``"valid"`` for photos, ``"circular"`` for periodic images, ``"symmetric"``
            for mirrored ones, in presets only.
        progress: called with what is being done, in words.

    Returns:
        The report of the verification, which the file holds too.

    Raises:
        InputError: the problem, solver, boundary or model is unknown; the model is an equilibrium; or the solver is
            PGD, which needs a prox, or PGD or GD, which need a proven Lipschitz bound, and the model has none.
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
    recipe: Recipe | SensingRecipe
    recipe = (
        recipe_of(Task.DEBLUR) if isinstance(chosen, Deblurring) else sensing_recipe(is_prox=network.monotone)
    )
    solver = recipe.solver if solver is None else solver
    _choose("solver", solver, (recipe.solver, *ALGORITHMS))
    progress("building the graph")
    metadata = onnx_file.metadata_of(network, name, "solver") | described | {"algorithm": solver}
    if solver == recipe.solver:
        if isinstance(chosen, Sensing) and isinstance(recipe, SensingRecipe) and solver == "fista":
            exported = sensing_model(network, recipe, chosen)
        else:
            exported = preset_model(network, recipe, chosen)
        metadata |= {"preset": recipe.to_json()}
        content = onnx_file.serialize(exported, metadata)
        report = examine_preset(exported, content, network, recipe, chosen, progress)
    else:
        if chosen.name == "symmetric":
            raise InputError(
                f"solver {solver}: has no simple bound of its step size with a symmetric boundary: export the preset, "
                f"{recipe.solver}, or choose the boundary valid or circular"
            )
        _check_step_sizes(network, name, solver)
        exported = solver_model(network, solver, chosen)
        metadata |= {"noise_rule": json.dumps(asdict(noise_rule(metadata["problem"], solver)))}
        report = examine_solver(
            exported, onnx_file.serialize(exported, metadata), network, solver, chosen, progress
        )
    onnx_file.write(onnx_file.serialize(exported, metadata | {"report": report.to_json()}), path)
    return report


def _exportable(physics: object) -> HadamardSensing | BlockSensing:
    """Return measurements that can be exported, or raise `InputError`."""
    if isinstance(physics, HadamardSensing | BlockSensing):
        return physics
    raise InputError(
        f"problem {type(physics).__name__}: cannot be exported; only Hadamard and block sensing can"
    )


def _check_step_sizes(network: ImageNetwork, name: str, solver: str) -> None:
    """Refuse a network for which a solver has no proven step size."""
    if ALGORITHMS[solver].needs_prox and not network.monotone:
        raise InputError(f"{name}: is no proximal operator, which {solver} needs")
    if not math.isfinite(prior_of(network).curvature_bound()):
        raise InputError(
            f"{name}: has no proven Lipschitz bound, so {solver} has no step size that surely descends"
        )


def _choose(kind: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{kind} {value}: cannot be exported; choose one of {', '.join(known)}")
