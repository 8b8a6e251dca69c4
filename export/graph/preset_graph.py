"""The preset of deblurring as an ONNX model: the warm start is one ``Loop``, and the last solver is another.

The warm start, a `gradprox.solvers.Continuation`, takes one step per noise level and computes no objective. The
fit of a valid blur, by conjugate gradients, is a ``Loop`` inside both.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from onnx import ModelProto, NodeProto, TensorProto, helper
from torch.export import Dim

from gradprox.export.graph import preset_steps
from gradprox.export.graph.fourier_blur import Spectrum
from gradprox.export.graph.frame import Frame
from gradprox.export.graph.loop import Carried, inline_part, loop_around
from gradprox.export.graph.problem import Deblurring
from gradprox.export.graph.recipe import Recipe
from gradprox.export.graph.tracing import Example, Piece, pruned, trace_together
from gradprox.networks.denoisers.config import ImageNetwork
from gradprox.solvers.least_squares import FIT_ITERATIONS

BOOL, DOUBLE, FLOAT, INT64 = TensorProto.BOOL, TensorProto.DOUBLE, TensorProto.FLOAT, TensorProto.INT64
SPECTRUM = Spectrum._fields
# The values of the schedule, by the names that parts have for them.
SCHEDULE = {
    "levels": "all_levels",
    "weights": "all_weights",
    "sigma": "last_sigma",
    "lambda_reg": "last_weight",
}


def preset_model(network: ImageNetwork, recipe: Recipe, problem: Deblurring) -> ModelProto:
    """Return the ONNX model of a preset; `export_solver` describes its inputs and outputs.

    Args:
        network: the network of its prior, in single precision.
        recipe: the numbers of the preset.
        problem: the boundary of the blur.
    """
    parts = _Parts(network, recipe, problem)
    frame, place = parts.frame, parts.place
    warm_end = {"new": "warm/fit"} | {name: f"warm/{name}" for name in ("x", "going", "warm_steps")}
    warm = [
        *place("level", "warm_level", {"number": "warm/number"}),
        *place("denoise", "warm_prior", {"x": "warm/x", "sigma": "level_sigma", "denoised_only": "warm/z"}),
        *parts.fit("warm_fit", "warm/x", "warm/z", "level_weight", "warm/fit"),
        *place("warm_end", "warm_end", warm_end),
    ]
    prior = {"x": "main/fit", "denoised": "main/denoised", "energy_of_x": "main/energy"}
    record = {
        "new": "main/fit",
        "new_denoised": "main/denoised",
        "energy": "main/energy",
        **{name: f"main/{name}" for name in ("x", "denoised_before", "status", "steps")},
    }
    main = [
        *parts.fit("main_fit", "main/x", "main/denoised_before", "last_weight", "main/fit"),
        *place("denoise_with_energy", "main_prior", prior),
        *place("record", "main_end", record),
    ]
    main_state = [
        Carried("warm_x", "main/x", "next_x", "last_x", FLOAT),
        Carried("first_z", "main/denoised_before", "next_z", "last_z", FLOAT),
        Carried("first_status", "main/status", "next_status", "status", INT64),
        Carried("first_steps", "main/steps", "next_steps", "steps", INT64),
    ]
    nodes = [
        *frame.start_nodes(parts.traced),
        *place("schedule", "schedule", {}),
        *place("transform", "transform", {"x": "start"}),
        *place("warm_start", "warm_start", {"x": "start"}),
        loop_around(
            warm,
            "warm",
            steps="warm_count",
            begin=frame.true("begin"),
            go_on="warm_goes_on",
            carried=[
                Carried("start", "warm/x", "warm_kept", "warm_x", FLOAT),
                Carried("all_going", "warm/going", "warm_going", "last_going", BOOL),
                Carried("no_steps", "warm/warm_steps", "warm_taken", "first_steps", INT64),
            ],
        ),
        *place(
            "denoise_with_energy",
            "prior",
            {"x": "warm_x", "denoised": "first_z", "energy_of_x": "first_energy"},
        ),
        *place("arrive", "arrive", {"x": "warm_x", "energy": "first_energy"}),
        loop_around(
            main,
            "main",
            steps="max_iter",
            begin="begin",
            go_on="go_on",
            carried=main_state,
            rows={"objective_rows": "new_objective", "residual_rows": "new_residual"},
        ),
        *frame.history_nodes("objective_rows", "residual_rows", "first_objective"),
        *frame.finish_nodes(parts.traced, "last_x"),
    ]
    return frame.model(nodes, ("noise", "strength", "tol"), parts.traced["arrive"].ir_version)


class _Parts:
    """The traced parts of a preset, ready to be placed in its graph.

    Args:
        network: the network of its prior, in single precision.
        recipe: the numbers of the preset.
        problem: the boundary of the blur.
    """

    def __init__(self, network: ImageNetwork, recipe: Recipe, problem: Deblurring) -> None:
        self.frame = Frame(problem, network.channels)
        self.boundary = problem.name
        pieces = self.frame.pieces() | _pieces(network, recipe, self.boundary)
        self.traced = trace_together(pieces, self.frame.examples() | self._examples())
        self.traced["denoise"] = pruned(self.traced["denoise_with_energy"], {"denoised": "denoised_only"})
        steps = helper.make_tensor("fit_iterations", INT64, [], [FIT_ITERATIONS])
        self.frame.constants["fit_iterations"] = steps

    def place(self, part: str, prefix: str, names: Mapping[str, str]) -> list[NodeProto]:
        """Return the nodes of a part; its inputs and outputs are values of the graph, under other names if given."""
        shared = {name: f"the_{name}" for name in (*SPECTRUM, "back")} | SCHEDULE
        return inline_part(self.traced[part], prefix, shared | dict(names), self.frame.constants)

    def fit(self, name: str, x: str, z: str, weight: str, fitted: str) -> list[NodeProto]:
        """Return the nodes that compute ``argmin f + weight |. - z|^2/2``; iterations begin at ``x``.

        Args:
            name: prefix of all names inside.
            x: name of the images at which iterations begin.
            z: name of the denoised images.
            weight: name of the weight.
            fitted: name of the result.
        """
        if self.boundary == "circular":
            return self.place("fit", name, {"z": z, "weight": weight, "fitted": fitted})
        state = ("point", "residual", "direction", "energy")
        carried = [
            Carried(
                f"{name}/first_{value}",
                f"{name}/now_{value}",
                f"{name}/new_{value}",
                f"{name}/last_{value}",
                DOUBLE,
            )
            for value in state
        ]
        inside = {
            f"{stage}_{value}": f"{name}/{stage}_{value}" for stage in ("first", "new") for value in state
        }
        inside |= {"enough_energy": f"{name}/enough", "enough": f"{name}/enough", "weight": weight}
        step = inside | {value: f"{name}/now_{value}" for value in state} | {"go_on": f"{name}/go_on"}
        last = {value: f"{name}/last_{value}" for value in state} | {"fitted": fitted}
        return [
            *self.place(
                "fit_start", f"{name}_start", inside | {"z": z, "x": x, "begin_fit": f"{name}/begin"}
            ),
            loop_around(
                self.place("fit_step", f"{name}_step", step),
                name,
                steps="fit_iterations",
                begin=f"{name}/begin",
                go_on=f"{name}/go_on",
                carried=carried,
            ),
            *self.place("fit_end", f"{name}_end", last),
        ]

    def _examples(self) -> dict[str, Example]:
        frame = self.frame
        one, counter = torch.full((1,), 0.1), torch.zeros(len(frame.y), dtype=torch.long)
        spectrum = Spectrum.of(frame.kernel, *frame.x.shape[-2:])
        image, batch, both = frame.open["x"], frame.open["batch"], {0: Dim.AUTO, 1: Dim.AUTO}
        coordinates = Example(spectrum.transform(frame.x), dict.fromkeys((0, 1, 3, 4), Dim.AUTO))
        return {
            **dict.fromkeys(("z", "new", "new_denoised", "denoised_before"), Example(frame.x, image)),
            **dict.fromkeys(("energy", "enough"), Example(counter.double(), batch)),
            **dict.fromkeys(("status", "steps"), Example(counter, batch)),
            **dict.fromkeys(("sigma", "weight", "lambda_reg", "tol", "noise", "strength"), Example(one, {})),
            **dict.fromkeys(("levels", "weights"), Example(torch.full((7,), 0.1), {0: Dim.AUTO})),
            "number": Example(torch.tensor(3), {}),
            "going": Example(counter == 0, batch),
            "warm_steps": Example(counter, batch),
            **dict.fromkeys(("back", "point", "residual", "direction"), coordinates),
            **{name: Example(value, both) for name, value in zip(SPECTRUM, spectrum, strict=True)},
        }


def _pieces(network: ImageNetwork, recipe: Recipe, boundary: str) -> dict[str, Piece]:
    """Return the modules of a preset; equal names of inputs and outputs stand for the same values of its graph."""
    iterate = ("point", "residual", "direction", "energy")
    found = {
        "schedule": Piece(
            preset_steps.Schedule(recipe),
            ("noise", "strength"),
            ("all_levels", "all_weights", "warm_count", "last_sigma", "last_weight"),
        ),
        "level": Piece(
            preset_steps.Level(), ("levels", "weights", "number"), ("level_sigma", "level_weight")
        ),
        "transform": Piece(
            preset_steps.Transform(boundary),
            ("x", "y", "kernel"),
            (*(f"the_{name}" for name in SPECTRUM), "the_back"),
        ),
        "denoise_with_energy": Piece(
            preset_steps.Network(network), ("x", "sigma"), ("denoised", "energy_of_x")
        ),
        "warm_start": Piece(preset_steps.WarmStart(), ("x",), ("all_going", "no_steps")),
        "warm_end": Piece(
            preset_steps.WarmEnd(),
            ("new", "x", "going", "warm_steps"),
            ("warm_goes_on", "warm_kept", "warm_going", "warm_taken"),
        ),
        "arrive": Piece(
            preset_steps.Arrive(boundary),
            ("x", "energy", "y", "kernel", "lambda_reg", SPECTRUM),
            ("first_status", "first_objective"),
        ),
        "record": Piece(
            preset_steps.Record(boundary),
            (
                *("new", "new_denoised", "energy", "x", "denoised_before", "status", "steps", "y", "kernel"),
                *("lambda_reg", "tol", SPECTRUM),
            ),
            ("go_on", "next_x", "next_z", "next_status", "next_steps", "new_objective", "new_residual"),
        ),
    }
    if boundary == "circular":
        fit = Piece(preset_steps.ClosedFit(), ("z", "back", "weight", SPECTRUM), ("fitted",))
        return found | {"fit": fit}
    return found | {
        "fit_start": Piece(
            preset_steps.FitStart(),
            ("z", "x", "back", "kernel", "weight", SPECTRUM),
            ("begin_fit", "enough_energy", *(f"first_{name}" for name in iterate)),
        ),
        "fit_step": Piece(
            preset_steps.FitStep(),
            (*iterate, "enough", "kernel", "weight", SPECTRUM),
            ("go_on", *(f"new_{name}" for name in iterate)),
        ),
        "fit_end": Piece(preset_steps.FitEnd(), ("point", "energy", SPECTRUM), ("fitted",)),
    }


def _unchanged(value: str, name: str) -> list[NodeProto]:
    return [helper.make_node("Identity", [value], [name], name=name)]
