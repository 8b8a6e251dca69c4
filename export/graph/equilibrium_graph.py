"""An equilibrium network as an ONNX model: its iterations are a ``Loop``, in which every image stops by itself."""

from __future__ import annotations

import torch
from onnx import ModelProto, TensorProto, helper
from torch import Tensor, nn
from torch.export import Dim

from gradprox.batch import image_sum, per_image
from gradprox.export.graph.loop import build_model, inline_part, loop_node
from gradprox.export.graph.tracing import trace
from gradprox.networks import Equilibrium
from gradprox.networks.denoisers.descent import Descent, root_mean_square
from gradprox.networks.denoisers.equilibrium import MAX_ITER

STATE = (*Descent._fields, "going")


class Part(nn.Module):
    """Base of the parts; each calls the methods of the network, so that no formula is written twice.

    Args:
        network: the network, in its `export_form`.
    """

    def __init__(self, network: Equilibrium) -> None:
        super().__init__()
        self.network = network


class Start(Part):
    """The part before the loop."""

    def forward(self, y: Tensor, sigma: Tensor) -> tuple[Tensor, ...]:
        """Return the first state, whether each image goes on, and the limits of the gradients."""
        limits = self.network.limits(y, sigma, self.network.tolerance)
        # A copy: a graph may not return one of its inputs.
        state = Descent.from_point(self.network.first(y, sigma).clone())
        return *state, torch.ones_like(limits) > 0, limits


class Body(Part):
    """One step of the loop: it finds the images that have arrived, and moves the others."""

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
        # NaN never converges, so the image stops here, as NaN.
        point = torch.where(per_image(new_size.isnan(), point), torch.nan, point)
        going = going & (new_size > limits)
        state = Descent(point, gradient, length, size, age)
        moved = self.network.advance(state, new_gradient, sigma)
        kept = (torch.where(per_image(going, new), new, old) for new, old in zip(moved, state, strict=True))
        return going.any(), *kept, going


class Finish(Part):
    """The part after the loop."""

    def forward(self, x: Tensor, y: Tensor, sigma: Tensor) -> Tensor:
        """Return ``Phi(y)``, ``(B,)`` in double precision, given the minimizer ``x``."""
        return image_sum(y * y) / 2 - self.network.objective(x, y, sigma)


def equilibrium_model(network: Equilibrium, potential: bool) -> ModelProto:
    """Return the ONNX model of an equilibrium; `export_denoiser` describes its inputs and outputs.

    Args:
        network: the network, in single precision.
        potential: whether the model returns ``Phi(y)`` too.
    """
    network = network.export_form()
    y, sigma = torch.zeros(2, network.channels, 12, 13), torch.full((1,), 0.1)
    ones = torch.ones(2)
    sizes = {"y": {0: "batch", 2: "height", 3: "width"}}
    # Sizes inside the loop follow from those of the images. The exporter refuses to name them a second time.
    images, numbers = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}, {0: Dim.AUTO}
    inside = dict.fromkeys(("x", "y", "point", "gradient"), images)
    inside |= dict.fromkeys(("length", "size", "age", "going", "limits"), numbers)
    constants = {"max_iter": helper.make_tensor("max_iter", TensorProto.INT64, [], [MAX_ITER])}
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
    nodes = [*inline_part(start, "start", first, constants), loop_node(step, first, last, constants)]
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
        nodes += inline_part(finish, "finish", {}, constants)
        outputs.append(helper.make_tensor_value_info("potential", TensorProto.DOUBLE, ["batch"]))
    return build_model(nodes, start.graph.input, outputs, constants, start.ir_version)
