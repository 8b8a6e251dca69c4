"""An equilibrium network as one ONNX model: its iterations a real ``Loop``, which stops image by image."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from onnx import ModelProto, TensorProto, helper
from torch import Tensor, nn
from torch.export import Dim

from gradprox.batch import image_sum, per_image
from gradprox.export.graph.assembly import assemble, loop, place
from gradprox.export.graph.one_piece import OnePiece
from gradprox.export.graph.tracing import trace
from gradprox.networks import Equilibrium
from gradprox.networks.denoisers.descent import Descent, root_mean_square
from gradprox.networks.denoisers.equilibrium import MAX_ITER

STATE = (*Descent._fields, "going")


class Part(nn.Module):
    """What the parts share: an equilibrium without tiles.

    Its own methods are what is exported, not a copy of them.

    Args:
        network: the network, its parts replaced by `OnePiece`.
    """

    def __init__(self, network: Equilibrium) -> None:
        super().__init__()
        self.network = network


class Start(Part):
    """Before the loop."""

    def forward(self, y: Tensor, sigma: Tensor) -> tuple[Tensor, ...]:
        """Return the first state, whether images go on, and their limits."""
        limits = self.network.limits(y, sigma, self.network.tolerance)
        # A graph returns nothing twice, and none of its inputs.
        state = Descent.from_point(self.network.first(y, sigma).clone())
        return *state, torch.ones_like(limits) > 0, limits


class Body(Part):
    """Which images have arrived, and one step of the others."""

    def forward(
        self,
        point: Tensor,
        gradient: Tensor,
        length: Tensor,
        size: Tensor,
        age: Tensor,
        going: Tensor,
        y: Tensor,
        sigma: Tensor,
        limits: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return whether any image goes on, and the next state."""
        new_gradient = self.network.objective_gradient(point, y, sigma)
        new_size = root_mean_square(new_gradient)
        # Not a number is no arrival, but never gets better.
        point = torch.where(per_image(new_size.isnan(), point), torch.nan, point)
        going = going & (new_size > limits)
        state = Descent(point, gradient, length, size, age)
        moved = self.network.advance(state, new_gradient, sigma)
        kept = (torch.where(per_image(going, new), new, old) for new, old in zip(moved, state, strict=True))
        return going.any(), *kept, going


class Finish(Part):
    """After the loop."""

    def forward(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """Return ``Phi(y)``, ``(B,)`` in double precision, where ``x`` is the minimizer."""
        return image_sum(y * y) / 2 - self.network.objective(x, y, sigma)


def equilibrium_model(network: Equilibrium, potential: bool) -> ModelProto:
    """Return the ONNX model of an equilibrium; its inputs and outputs are those of `export_denoiser`.

    Args:
        network: the network, in single precision.
        potential: whether the model returns ``Phi(y)`` too.
    """
    network = copy.deepcopy(network)
    network.regularizer = cast("Any", OnePiece(network.regularizer))
    if network.start is not None:
        network.start = cast("Any", OnePiece(network.start))
    y, sigma = torch.zeros(2, network.channels, 12, 13), torch.full((1,), 0.1)
    ones = torch.ones(2)
    sizes = {"y": {0: "batch", 2: "height", 3: "width"}}
    # Inside, sizes follow from those of the images; naming them again would be refused.
    images, numbers = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}, {0: Dim.AUTO}
    inside = dict.fromkeys(("x", "y", "point", "gradient"), images)
    inside |= dict.fromkeys(("length", "size", "age", "going", "limits"), numbers)
    weights = {"max_iter": helper.make_tensor("max_iter", TensorProto.INT64, [], [MAX_ITER])}
    first = {name: f"first_{name}" for name in STATE}
    start = trace(Start(network), (y, sigma), ("y", "sigma"), (*STATE, "limits"), sizes)
    step = trace(
        Body(network),
        (y, y, ones, ones, ones, ones > 0, y, sigma, ones),
        (*STATE, "y", "sigma", "limits"),
        ("go_on", *(f"new_{name}" for name in STATE)),
        inside,
    )
    last = ["x", *(f"last_{name}" for name in STATE[1:])]
    nodes = [*place(start, "start", first, weights), loop(step, first, last, weights)]
    nodes.append(helper.make_node("Not", ["last_going"], ["arrived"], name="arrived"))
    outputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", network.channels, "height", "width"]),
        helper.make_tensor_value_info("arrived", TensorProto.BOOL, ["batch"]),
    ]
    if potential:
        finish = trace(
            Finish(network),
            (y, y, sigma),
            ("x", "y", "sigma"),
            ("potential",),
            {"x": inside["x"], "y": inside["y"]},
        )
        nodes += place(finish, "finish", {}, weights)
        outputs.append(helper.make_tensor_value_info("potential", TensorProto.DOUBLE, ["batch"]))
    return assemble(nodes, start.graph.input, outputs, weights, start.ir_version)
