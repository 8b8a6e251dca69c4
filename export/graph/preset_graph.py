"""Presets as ONNX models: a ``Loop`` for the warm start, and one for the last solver.

The warm start of deblurring is a `gradprox.solvers.Continuation`: one step per noise level, without an objective. That
of compressed sensing is a sequence of solvers at falling noise levels.
"""

from __future__ import annotations

import torch
from onnx import ModelProto, NodeProto, helper
from torch.export import Dim

from gradprox.export.graph import preset_steps
from gradprox.export.graph.graph_solvers import GRAPH_SOLVERS
from gradprox.export.graph.loop import Carried, loop_around
from gradprox.export.graph.parts import Parts
from gradprox.export.graph.pieces import INT64
from gradprox.export.graph.problem import Problem
from gradprox.export.graph.recipe import Recipe, SensingRecipe
from gradprox.export.graph.solver_graph import BOOL, FLOAT
from gradprox.export.graph.tracing import Example, Piece
from gradprox.networks.denoisers.config import ImageNetwork

# Settings of the last solver, and of one of the warm start.
LAST = {"sigma": "last_sigma", "lambda_reg": "last_weight", "tol": "tol"}
WARM = {"sigma": "warm/sigma", "lambda_reg": "warm/weight", "tol": "warm_tol"}


def preset_model(network: ImageNetwork, recipe: Recipe | SensingRecipe, problem: Problem) -> ModelProto:
    """Return the ONNX model of a preset; `export_solver` describes its inputs and outputs.

    Args:
        network: the network of its prior, in single precision.
        recipe: the numbers of the preset.
        problem: the kind of measurement.
    """
    pieces, examples = _pieces(recipe)
    warm_solver = recipe.warm_solver if isinstance(recipe, SensingRecipe) else None
    solvers = {recipe.solver} | ({warm_solver} if warm_solver else set())
    parts = Parts(network, problem, sorted(solvers), pieces, examples)
    frame, place = parts.frame, parts.place
    parts.shared |= {"noise", "strength", *pieces["schedule"].outputs, "no_steps", "all_going"}
    warm = _stages(parts, recipe) if isinstance(recipe, SensingRecipe) else _continuation(parts, recipe)
    last = GRAPH_SOLVERS[recipe.solver](parts, "last", LAST)
    nodes = [
        *frame.start_nodes(parts.traced),
        *place("schedule", "schedule"),
        *parts.transform(),
        *place("warm_start", "warm_start", {"x": "start"}),
        *(place("any_clipped", "clipping") if parts.clips else []),
        *(parts.norm() if solvers != {"hqs"} else []),
        warm,
        *parts.solver(last, "warm_x", "warm_steps", "max_iter", ("objective_rows", "residual_rows")),
        *(
            helper.make_node("Identity", [f"last/last_{name}"], [name], name=name)
            for name in ("status", "steps")
        ),
        *frame.history_nodes("objective_rows", "residual_rows", "last/first_objective"),
        *frame.finish_nodes(parts.traced, "last/last_x"),
    ]
    return frame.model(nodes, ("noise", "strength", "tol"), parts.traced["schedule"].ir_version)


def _continuation(parts: Parts, recipe: Recipe) -> NodeProto:
    """Return the ``Loop`` of a continuation."""
    if recipe.self_ensemble:
        mirror = {"x": "warm/ahead", "mirrored": "warm/turned"}
        back = {"x": "warm/seen", "mirrored": "warm/denoised", "number": "warm/number"}
        denoised = [
            *parts.place("mirror", "warm", mirror),
            *parts.denoise("warm", "warm/turned", "warm/sigma", "warm/seen"),
            *parts.place("mirror", "warm/back", back),
        ]
    else:
        denoised = parts.denoise("warm", "warm/ahead", "warm/sigma", "warm/denoised")
    step = [
        *parts.place("level", "warm"),
        *denoised,
        *parts.fit("warm/fit", "warm/x", "warm/denoised", "warm/weight", "warm/new"),
        *parts.place("warm_end", "warm"),
    ]
    return loop_around(
        step,
        "warm",
        steps="warm_count",
        begin="begin",
        go_on="warm/goes_on",
        carried=[
            Carried("start", "warm/x", "warm/kept", "warm_x", FLOAT),
            Carried("start", "warm/ahead", "warm/next_ahead", "last_ahead", FLOAT),
            Carried("all_going", "warm/going", "warm/still_going", "last_going", BOOL),
            Carried("no_steps", "warm/warm_steps", "warm/taken", "warm_steps", INT64),
        ],
    )


def _stages(parts: Parts, recipe: SensingRecipe) -> NodeProto:
    """Return the ``Loop`` of the solvers of a warm start."""
    parts.frame.constants["warm_tol"] = helper.make_tensor("warm_tol", FLOAT, [1], [recipe.warm_tol])
    inner = GRAPH_SOLVERS[recipe.warm_solver](parts, "inner", WARM)
    solver = [
        *parts.place("level", "warm"),
        *parts.solver(inner, "warm/x", "warm/steps", "warm/stage_steps"),
        helper.make_node("Identity", ["begin"], ["warm/goes_on"], name="warm/goes_on"),
    ]
    return loop_around(
        solver,
        "warm",
        steps="warm_count",
        begin="begin",
        go_on="warm/goes_on",
        carried=[
            Carried("start", "warm/x", "inner/last_x", "warm_x", FLOAT),
            Carried("no_steps", "warm/steps", "inner/last_steps", "warm_steps", INT64),
        ],
    )


def _pieces(recipe: Recipe | SensingRecipe) -> tuple[dict[str, Piece], dict[str, Example]]:
    """Return the modules of a schedule and of a continuation, and examples of their inputs."""
    pieces = {
        "schedule": Piece(
            preset_steps.Schedule(recipe),
            ("noise", "strength"),
            ("levels", "weights_of_levels", "warm_count", "last_sigma", "last_weight"),
        ),
        "warm_start": Piece(preset_steps.WarmStart(), ("x",), ("all_going", "no_steps")),
    }
    given = ("levels", "weights_of_levels", "number")
    if isinstance(recipe, SensingRecipe):
        pieces["level"] = Piece(preset_steps.Stage(recipe), given, ("sigma", "weight", "stage_steps"))
    else:
        pieces["level"] = Piece(preset_steps.Level(), (*given, "going"), ("sigma", "weight"))
        pieces["mirror"] = Piece(preset_steps.Mirror(), ("x", "number"), ("mirrored",))
        pieces["warm_end"] = Piece(
            preset_steps.WarmEnd(recipe.momentum),
            ("new", "x", "going", "warm_steps"),
            ("goes_on", "kept", "next_ahead", "still_going", "taken"),
        )
    one, levels = torch.full((1,), 0.1), torch.full((7,), 0.1)
    counter, batch = torch.zeros(2, dtype=torch.long), {0: Dim.AUTO}
    examples = {
        **dict.fromkeys(("noise", "strength"), Example(one, {})),
        "levels": Example(levels, batch),
        "weights_of_levels": Example(levels.double(), batch),
        "number": Example(torch.tensor(3), {}),
        "going": Example(counter == 0, batch),
        "warm_steps": Example(counter, batch),
    }
    return pieces, examples
