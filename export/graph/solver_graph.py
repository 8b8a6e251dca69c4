"""A solver as an ONNX model: its iterations are a ``Loop``, and each image stops at its own step."""

from __future__ import annotations

import torch
from onnx import ModelProto, TensorProto

from gradprox.export.graph.frame import Frame
from gradprox.export.graph.loop import Carried, inline_part, loop_around
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.solver_steps import Body, Start
from gradprox.export.graph.tracing import Example, Piece, trace_together
from gradprox.networks.denoisers.config import ImageNetwork

# Inputs that are the same in every step.
SETTINGS = ("y", "kernel", "sigma", "lambda_reg", "stepsize", "tol")
STATE = ("x", "gradient", "status", "steps")
# Outputs of a step besides its new state: one row of each history.
ROWS = ("objective", "residual")


def solver_model(network: ImageNetwork, algorithm: str, problem: Problem) -> ModelProto:
    """Return the ONNX model of a solver; `export_solver` describes its inputs and outputs.

    Args:
        network: the network of its prior, in single precision.
        algorithm: one of `gradprox.export.graph.solver_steps.ALGORITHMS`.
        problem: the inverse problem that the solver is exported for.
    """
    frame = Frame(problem, network.channels)
    one, counters = torch.full((1,), 0.1), torch.zeros(len(frame.y), dtype=torch.long)
    images, batch = frame.open["x"], frame.open["batch"]
    pieces = frame.pieces() | {
        "start": Piece(
            Start(network, algorithm, problem),
            ("x", "y", "kernel", "sigma", "lambda_reg"),
            (*(f"first_{name}" for name in (*STATE, "objective")),),
        ),
        "body": Piece(
            Body(network, algorithm, problem),
            (*STATE, *SETTINGS),
            ("go_on", *(f"new_{name}" for name in (*STATE, *ROWS))),
        ),
    }
    examples = frame.examples() | {
        "gradient": Example(frame.x, images),
        "status": Example(counters, batch),
        "steps": Example(counters, batch),
        **{name: Example(one, {}) for name in ("sigma", "lambda_reg", "stepsize", "tol")},
    }
    traced = trace_together(pieces, examples)
    kinds = dict.fromkeys(STATE, TensorProto.FLOAT) | dict.fromkeys(("status", "steps"), TensorProto.INT64)
    last = {"x": "last_x", "gradient": "last_gradient", "status": "status", "steps": "steps"}
    carried = [
        Carried(f"first_{name}", f"now_{name}", f"new_{name}", last[name], kinds[name]) for name in STATE
    ]
    nodes = [
        *frame.start_nodes(traced),
        *inline_part(traced["start"], "start", {"x": "start"}, frame.constants),
        loop_around(
            inline_part(traced["body"], "step", {name: f"now_{name}" for name in STATE}, frame.constants),
            "loop",
            steps="max_iter",
            begin=frame.true("begin"),
            go_on="go_on",
            carried=carried,
            rows={f"{name}_rows": f"new_{name}" for name in ROWS},
        ),
        *frame.history_nodes("objective_rows", "residual_rows", "first_objective"),
        *frame.finish_nodes(traced, "last_x"),
    ]
    numbers = ["sigma", *([] if algorithm == "pgd" else ["lambda_reg"]), "stepsize", "tol"]
    return frame.model(nodes, numbers, traced["start"].ir_version)
