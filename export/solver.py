"""``solver.onnx``: a whole plug-and-play restoration as one ONNX model, its iterations a real ``Loop``."""

from __future__ import annotations

from pathlib import Path

from gradprox.errors import InputError
from gradprox.export import artifact
from gradprox.export.checks.solver_check import SolverReport, examine_solver
from gradprox.export.graph.blur import BOUNDARIES
from gradprox.export.graph.problem import Deblurring, Problem, Sensing
from gradprox.export.graph.solver_graph import solver_model
from gradprox.export.graph.solver_parts import ALGORITHMS
from gradprox.networks import IdentityPath
from gradprox.physics import BlockSensing, HadamardSensing
from gradprox.priors import LearnedProx


def export_solver(
    problem: str | HadamardSensing | BlockSensing,
    solver: str,
    model: str | Path | LearnedProx,
    path: str | Path,
    *,
    boundary: str = "valid",
) -> SolverReport:
    """Write a solver with its physics and its prior as one verified ONNX file.

    Inputs: ``y``, float32: photos ``(batch, channels, height, width)`` of any size, or what the physics measures of
    any number of images and channels; for deblurring ``kernel``, float32 ``(1, 1, kernel_height, kernel_width)``;
    ``sigma``, ``strength``, ``stepsize`` and ``tol``, float32 ``(1,)``; ``max_iter``, an int64 scalar, 0 included.
    ``strength`` is the weight ``lambda`` of GD, and multiplies ``sigma`` in PGD, whose weight is tied to its step
    size. A graph checks nothing: step sizes must be below the solvers' limits, which
    `gradprox.export.runtime.OnnxSolver` sees to.

    Outputs: images ``x``; ``residuals``, float64 ``(batch, K)``, and ``objective``, float64 ``(batch, K + 1)``, as
    `gradprox.solvers.Result` has them; ``steps`` and ``status``, int64 ``(batch,)``, the latter 0 when the budget
    ran out, 1 when converged, 2 when values stopped being finite.

    Args:
        problem: ``"deblur"``, or the physics of compressed sensing, whose image size and patterns become part of
            the file.
        solver: ``"pgd"`` or ``"gd"``.
        model: the name of a shipped model, a model file, or a model.
        path: the file to write, whole or not at all.
        boundary: of a blur: ``"valid"`` for photos, ``"circular"`` for periodic images.

    Returns:
        What was verified; the same is stored in the file.

    Raises:
        InputError: an unknown problem, solver, boundary or model, or an equilibrium.
        VerificationError: the exported solver is not the same. Nothing is written.
        OSError: the file cannot be written.
    """
    _choose("solver", solver, tuple(ALGORITHMS))
    undone: Problem
    if isinstance(problem, str):
        _choose("problem", problem, ("deblur",))
        _choose("boundary", boundary, BOUNDARIES)
        undone = Deblurring(boundary)
    elif isinstance(problem, HadamardSensing | BlockSensing):
        undone = Sensing(problem)
    else:
        raise InputError(
            f"problem {type(problem).__name__}: cannot be exported; only Hadamard and block sensing can"
        )
    prior, network = artifact.resolve(model)
    if not isinstance(network, IdentityPath):
        raise InputError(
            f"{prior.name}: iterates itself, and no solver around it can be exported: export it alone"
        )
    exported = solver_model(network, solver, undone)
    metadata = artifact.describe(prior, network, "solver") | undone.metadata() | {"algorithm": solver}
    report = examine_solver(exported, artifact.serialize(exported, metadata), network, solver, undone)
    artifact.write(artifact.serialize(exported, metadata | {"report": report.to_json()}), path)
    return report


def _choose(kind: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{kind} {value}: cannot be exported; choose one of {', '.join(known)}")
