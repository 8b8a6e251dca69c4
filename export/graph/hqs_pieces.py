"""The modules of half-quadratic splitting with the names of their inputs and outputs, to be traced together.

Equal names stand for the same values at one place of a graph.
"""

from __future__ import annotations

import torch
from onnx import TensorProto
from torch.export import Dim

from gradprox.export.graph import hqs_steps
from gradprox.export.graph.frame import Frame
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.tiles import tile_examples, tile_pieces
from gradprox.export.graph.tracing import Example, Piece
from gradprox.networks import IdentityPath
from gradprox.networks.denoisers.config import ImageNetwork

BOOL, DOUBLE, FLOAT, INT64 = TensorProto.BOOL, TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64
# The state of conjugate gradients, a `gradprox.networks.linear_systems.Iterate`.
ITERATE = ("point", "residual", "direction", "energy", "product")
# The state of a solver, with the types of its values.
STATE = {
    **dict.fromkeys(("x", "denoised"), FLOAT),
    **dict.fromkeys(("objective", "rounding", "fraction"), DOUBLE),
    **dict.fromkeys(("status", "steps"), INT64),
}
# The outcome of a step, before it is decided whether it counts.
OUTCOME = {"": FLOAT, "_denoised": FLOAT, "_objective": DOUBLE, "_rounding": DOUBLE}


def hqs_pieces(network: ImageNetwork, problem: Problem, *, closed: bool, depends: bool) -> dict[str, Piece]:
    """Return the modules.

    Args:
        network: the network of the prior, in single precision.
        problem: the kind of measurement.
        closed: whether its fits have a closed form.
        depends: whether that depends on the kernel.
    """
    known = problem.known
    outcome = {name: tuple(f"{name}{value}" for value in OUTCOME) for name in ("new", "found")}
    found = {
        "transform": Piece(
            hqs_steps.Transform(problem),
            ("x", "y", "kernel"),
            (*known[1:], "back", *(("closed_here",) if depends else ())),
        ),
        **(
            tile_pieces(network)
            if isinstance(network, IdentityPath)
            else {"network": Piece(hqs_steps.Network(network), ("new", "sigma"), ("new_denoised", "energy"))}
        ),
        "objective": Piece(
            hqs_steps.Objective(problem),
            ("new", "new_denoised", "energy", "y", "sigma", "lambda_reg", known),
            ("new_objective", "new_rounding"),
        ),
        "begin": Piece(hqs_steps.Begin(), ("x",), ("begin_status", "begin_fraction")),
        "record": Piece(
            hqs_steps.Record(),
            (*outcome["found"], "length", "stalled", *STATE, "tol"),
            ("go_on", *(f"next_{value}" for value in STATE), "row_objective", "row_residual"),
        ),
    }
    if network.monotone:
        found["whole_step"] = Piece(
            hqs_steps.WholeStep(), ("status", "lambda_reg"), ("length", "weights", "stalled")
        )
    else:
        found |= {
            "search_start": Piece(
                hqs_steps.SearchStart(), ("status", "fraction"), ("first_length", "unsettled")
            ),
            "relax": Piece(
                hqs_steps.Relax(),
                ("x", "denoised", "tried", "open_before", "lambda_reg"),
                ("trial_length", "target", "weights"),
            ),
            "accept": Piece(
                hqs_steps.Accept(),
                (
                    "x",
                    "objective",
                    "rounding",
                    "new",
                    "new_objective",
                    "new_rounding",
                    "weights",
                    "open_before",
                ),
                ("search_goes_on", "still_open"),
            ),
        }
    if closed:
        found["fit"] = Piece(hqs_steps.ClosedFit(problem), ("z", "y", "back", "weight", known), ("fitted",))
    if closed and not depends:
        return found
    return found | {
        "fit_start": Piece(
            hqs_steps.FitStart(problem),
            ("z", "x", "back", "weight", known),
            ("begin_fit", "enough", *(f"first_{name}" for name in ITERATE)),
        ),
        "fit_step": Piece(
            hqs_steps.FitStep(problem),
            (*ITERATE, "enough", "weight", known),
            ("fit_goes_on", *(f"new_{name}" for name in ITERATE)),
        ),
        "fit_end": Piece(hqs_steps.FitEnd(problem), ("point", "energy", known), ("fitted",)),
    }


def hqs_examples(
    network: ImageNetwork, frame: Frame, known: tuple[torch.Tensor, ...], back: torch.Tensor
) -> dict[str, Example]:
    """Return the inputs of these modules to trace with.

    Args:
        network: the network of the prior.
        frame: examples of images and measurements.
        known: those of `Problem.transform`.
        back: the coordinates of ``A^T y``.
    """
    one, counter = torch.full((1,), 0.1), torch.zeros(len(frame.y), dtype=torch.long)
    images, numbers = Example(frame.x, frame.open["x"]), Example(counter.double(), frame.open["batch"])
    counters, flags = Example(counter, frame.open["batch"]), Example(counter == 0, frame.open["batch"])
    open_known = {0: Dim.AUTO, 1: Dim.AUTO}
    sizes = {d: Dim.AUTO for d in range(back.ndim) if d < 2 or known}
    if back.ndim > frame.x.ndim:
        sizes.pop(2)  # real and imaginary part
    outcome = {"": images, "_denoised": images, "_objective": numbers, "_rounding": numbers}
    return {
        **(tile_examples(network) if isinstance(network, IdentityPath) else {}),
        **dict.fromkeys(("back", "point", "residual", "direction"), Example(back, sizes)),
        **{n: Example(v, open_known) for n, v in zip(frame.problem.known[1:], known, strict=True)},
        **dict.fromkeys(("z", "denoised"), images),
        **dict.fromkeys(
            ("energy", "product", "enough", "weight", "weights", "objective", "rounding"), numbers
        ),
        **dict.fromkeys(("length", "tried", "fraction"), numbers),
        **{f"{name}{value}": e for name in ("new", "found") for value, e in outcome.items()},
        **dict.fromkeys(("status", "steps"), counters),
        **dict.fromkeys(("open_before", "stalled"), flags),
        **dict.fromkeys(("sigma", "tol"), Example(one, {})),
        "lambda_reg": Example(one.double(), {}),
    }
