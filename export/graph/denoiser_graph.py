"""A denoiser of one pass as an ONNX model: any batch and image size, in float32 or float16."""

from __future__ import annotations

import torch
from onnx import ModelProto
from torch import Tensor, nn

from gradprox.batch import image_sum
from gradprox.errors import InputError
from gradprox.export.graph.precision import lowered
from gradprox.export.graph.tracing import trace
from gradprox.networks.denoisers.config import ImageNetwork


class TracedDenoiser(nn.Module):
    """A network wrapped for tracing, with or without the potential as a second output.

    Args:
        network: the network, in its `export_form`.
        potential: whether to return ``Phi(y)`` too.
    """

    def __init__(self, network: ImageNetwork, potential: bool) -> None:
        super().__init__()
        self.network = network
        self.potential = potential

    def forward(self, y: Tensor, sigma: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return ``D(y)`` for ``y`` of ``(B, C, H, W)``, and ``Phi(y)``, ``(B,)`` in double precision."""
        if not self.potential:
            return self.network(y, sigma)
        envelope, x = self.network.envelope_and_gradient(y, sigma)
        return x, image_sum(y * y) / 2 - envelope


class TracedBoundary(nn.Module):
    """A network wrapped for tracing in half precision: the output of its `float32_boundary` is returned too.

    Args:
        network: the network, in its `export_form`.
        boundary: the submodule that `float32_boundary` names.
    """

    def __init__(self, network: ImageNetwork, boundary: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.boundary = boundary

    def forward(self, y: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``D(y)`` and the output of the boundary."""
        passed: list[Tensor] = []
        handle = self.boundary.register_forward_hook(lambda _, __, output: passed.append(output))
        x = self.network(y, sigma)
        handle.remove()
        (values,) = passed
        return x, values


def denoiser_model(network: ImageNetwork, potential: bool, precision: str = "float32") -> ModelProto:
    """Return the ONNX model of a network of one pass; `export_denoiser` describes its inputs and outputs.

    Args:
        network: the network, in single precision.
        potential: whether the model returns ``Phi(y)`` too; in float32 only.
        precision: one of `gradprox.export.runtime.container.PRECISIONS`.

    Raises:
        InputError: the network has no `float32_boundary`, so it can be exported in float32 only.
    """
    form = network.export_form()
    arguments = torch.zeros(2, form.channels, 12, 13), torch.full((1,), 0.1)
    names, sizes = ("y", "sigma"), {"y": {0: "batch", 2: "height", 3: "width"}}
    if precision == "float32":
        outputs = ("x", "potential") if potential else ("x",)
        return trace(TracedDenoiser(form, potential), arguments, names, outputs, sizes)
    boundary = form.float32_boundary()
    if boundary is None:
        raise InputError(
            f"{type(network).__name__} networks cannot be exported in {precision}, only in float32"
        )
    return lowered(trace(TracedBoundary(form, boundary), arguments, names, ("x", "boundary"), sizes))
