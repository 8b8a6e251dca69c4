"""The modules of solvers with the names of their inputs and outputs, to be traced together.

Equal names stand for the same values at one place of a graph.
"""

from __future__ import annotations

import torch
from onnx import TensorProto
from torch.export import Dim

from gradprox.export.graph import fit_steps
from gradprox.export.graph.frame import Frame
from gradprox.export.graph.graph_solvers import GRAPH_SOLVERS
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_graph import BOOL, DOUBLE, FLOAT, WITH_DENOISED, WITH_GRADIENT
from gradprox.export.graph.solver_steps import Begin, Network, names_of
from gradprox.export.graph.tiles import tile_examples, tile_pieces
from gradprox.export.graph.tracing import Example, Piece
from gradprox.networks import IdentityPath
from gradprox.networks.denoisers.config import ImageNetwork

INT64: int = TensorProto.INT64
# The state of conjugate gradients, a `gradprox.networks.linear_systems.Iterate`.
ITERATE = ("point", "residual", "direction", "energy", "product")
# The values before the first step of conjugate gradients, and those after each step.
FIRST_ITERATE = ("begin_fit", "enough", *(f"first_{name}" for name in ITERATE))
NEXT_ITERATE = ("fit_goes_on", *(f"new_{name}" for name in ITERATE))
# The values of all states that are images; the others are numbers, but for `stalled`.
IMAGES = (
    *("x", "denoised", "gradient", "before", "gradient_before"),
    *("outcome", "outcome_gradient", "origin", "origin_gradient"),
)


def kind_of(value: str) -> int:
    """Return the type of a value of a state."""
    return BOOL if value == "stalled" else FLOAT if value in IMAGES else DOUBLE


def shared_pieces(network: ImageNetwork, problem: Problem, *, depends: bool) -> dict[str, Piece]:
    """Return the modules that all solvers share.

    Args:
        network: the network of the prior, in single precision.
        problem: the kind of measurement.
        depends: whether it depends on the kernel if fits have a closed form.
    """
    known = problem.known
    return {
        "transform": Piece(
            fit_steps.Transform(problem),
            ("x", "y", "kernel"),
            (*known[1:], "back", *(("closed_here",) if depends else ())),
        ),
        **(
            tile_pieces(network)
            if isinstance(network, IdentityPath)
            else {"network": Piece(Network(network), ("new", "sigma"), ("new_denoised", "energy"))}
        ),
        "begin": Piece(Begin(), ("x",), ("begin_status",)),
    }


def norm_pieces(problem: Problem, *, depends: bool) -> dict[str, Piece]:
    """Return the modules of the bound of ``|A|^2``; `shared_pieces` describes the arguments."""
    known, bound = problem.known, ("bound", "bound_weights")
    if not depends:
        return {"norm": Piece(fit_steps.Norm(problem), ("x", known), ("squared_norm",))}
    return {
        "first_bound": Piece(
            fit_steps.FirstBound(problem),
            ("x", "closed_here", known),
            (*(f"first_{name}" for name in bound), "begin_bound"),
        ),
        "next_bound": Piece(
            fit_steps.NextBound(problem), (*bound, known), tuple(f"new_{name}" for name in bound)
        ),
    }


def closed_fit_pieces(problem: Problem) -> dict[str, Piece]:
    """Return the modules of least-squares fits that have a closed form."""
    inputs = ("z", "y", "back", "weight", problem.known)
    return {"fit": Piece(fit_steps.ClosedFit(problem), inputs, ("fitted",))}


def iterated_fit_pieces(problem: Problem) -> dict[str, Piece]:
    """Return the modules of least-squares fits by conjugate gradients."""
    known, borders = problem.known, problem.borders
    return {
        "fit_start": Piece(
            fit_steps.FitStart(problem),
            ("z", "x", "back", "weight", known, borders),
            FIRST_ITERATE,
        ),
        "fit_step": Piece(
            fit_steps.FitStep(problem),
            (*ITERATE, "enough", "weight", known, borders),
            NEXT_ITERATE,
        ),
        "fit_end": Piece(fit_steps.FitEnd(problem), ("point", "energy", known), ("fitted",)),
    }


def shared_examples(
    network: ImageNetwork, frame: Frame, known: tuple[torch.Tensor, ...], back: torch.Tensor
) -> dict[str, Example]:
    """Return the inputs of all modules to trace with.

    Args:
        network: the network of the prior.
        frame: examples of images and measurements.
        known: those of `Problem.transform`.
        back: the coordinates of ``A^T y``.
    """
    one, counter = torch.full((1,), 0.1), torch.zeros(len(frame.y), dtype=torch.long)
    images, numbers = Example(frame.x, frame.open["x"]), Example(counter.double(), frame.open["batch"])
    counters, flags = Example(counter, frame.open["batch"]), Example(counter == 0, frame.open["batch"])
    of_kind = {FLOAT: images, DOUBLE: numbers, BOOL: flags}
    open_known = {0: Dim.AUTO, 1: Dim.AUTO}
    sizes = {d: Dim.AUTO for d in range(back.ndim) if d < 2 or known}
    if back.ndim > frame.x.ndim:
        sizes.pop(2)  # real and imaginary part
    states = {name for solver in GRAPH_SOLVERS.values() for name in names_of(solver.state)}
    points = ("new", "found", "from", "tentative", "fast", "fast_from", "plain")
    lengths = ("length", "tried", "trial_length", "fast_length", "plain_length")
    scalar = torch.full((), 0.1, dtype=torch.float64)
    weights = torch.ones(1, 1, *frame.x.shape[-2:], dtype=torch.float64)
    return {
        **(tile_examples(network) if isinstance(network, IdentityPath) else {}),
        **dict.fromkeys(("back", "point", "residual", "direction"), Example(back, sizes)),
        **{n: Example(v, open_known) for n, v in zip(frame.problem.known[1:], known, strict=True)},
        **dict.fromkeys(("z", "ahead", "ahead_gradient"), images),
        **dict.fromkeys(("energy", "product", "enough", "weight", "weights", "reference", *lengths), numbers),
        **{name: of_kind[kind_of(name)] for name in states},
        **{f"new_{name}": of_kind[kind_of(name)] for name in states},
        **{
            f"{name}{v}": of_kind[kind]
            for name in points
            for v, kind in {**WITH_GRADIENT, **WITH_DENOISED}.items()
        },
        **dict.fromkeys(("status", "steps"), counters),
        **dict.fromkeys(("open_before", "unaccepted", "fails", "worse"), flags),
        **dict.fromkeys(("sigma", "tol"), Example(one, {})),
        **dict.fromkeys(("lambda_reg", "proven"), Example(one.double(), {})),
        **dict.fromkeys(("squared_norm", "bound"), Example(scalar, {})),
        "bound_weights": Example(weights, {2: Dim.AUTO, 3: Dim.AUTO}),
        "closed_here": Example(scalar > 0, {}),
    }
