"""An exported denoiser as the prior of any solver: ONNX Runtime computes the denoiser, torch the rest."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from torch import Tensor

from gradprox.batch import image_sum
from gradprox.errors import InputError
from gradprox.export.runtime import OnnxDenoiser
from gradprox.networks import GradientNetwork
from gradprox.priors import GradientStepDenoiser, LearnedProx, prior_of


class OnnxNetwork(GradientNetwork):
    """A network that ONNX Runtime computes, always in single precision; it has no derivatives.

    Images pass through the memory of the CPU. ``forward`` takes them in tiles. The potential needs them whole, and
    about 1.4 GB per megapixel and 64 filters.

    Args:
        denoiser: the exported denoiser.

    Raises:
        InputError: the certificate in the file is damaged.
    """

    def __init__(self, denoiser: OnnxDenoiser) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.channels = denoiser.channels
        try:
            certificate = json.loads(denoiser.metadata["certificate"])
            self.monotone = certificate["monotone"] is True
            bound = certificate["lipschitz_bound"]
            self._lipschitz_bound = math.inf if bound is None else float(bound)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{denoiser.path}: its certificate is damaged") from error

    @property
    def radius(self) -> int | None:
        """See `GradientNetwork.radius`."""
        return self.denoiser.halo

    @property
    def noise_range(self) -> tuple[float, float]:
        """See `GradientNetwork.noise_range`."""
        low, high = json.loads(self.denoiser.metadata["noise_range"])
        return low, high

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """See `GradientNetwork.forward`."""
        return torch.from_numpy(self.denoiser(x.float().cpu().numpy(), sigma.cpu().numpy())).to(x)

    def potential(self, x: Tensor, sigma: Tensor) -> Tensor:
        """See `GradientNetwork.potential`."""
        _, potential = self._run(x.float().cpu(), sigma)
        return potential.to(image_sum(x))

    def envelope_and_gradient(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """See `GradientNetwork.envelope_and_gradient`."""
        y = x.float().cpu()
        gradient, potential = self._run(y, sigma)
        # The file computes the potential as this number minus the envelope, in double precision: no digits are lost.
        envelope = image_sum(y * y) / 2 - potential
        return envelope.to(image_sum(x)), gradient.to(x)

    def _run(self, y: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        gradient, potential = self.denoiser.with_potential(y.numpy(), sigma.cpu().numpy())
        return torch.from_numpy(gradient), torch.from_numpy(potential)

    def lipschitz_bound(self) -> float:
        """See `GradientNetwork.lipschitz_bound`."""
        return self._lipschitz_bound


def load_prior(
    path: str | Path,
    provider: str = "cpu",
    *,
    potential: bool = True,
    allow_fallback: bool = False,
    threads: int | None = None,
) -> LearnedProx | GradientStepDenoiser:
    """Load an exported denoiser as a prior that ONNX Runtime computes.

    `gradprox.load_model` of the same file returns the torch network that it was made from.

    Args:
        path: a file written by `export_denoiser` with ``potential=True``.
        provider: as for `gradprox.export.runtime.OnnxDenoiser`.
        potential: whether the file must have its potential. The objective of every solver needs it; without it only
            ``D(y, sigma)`` can be computed.
        allow_fallback: as for `gradprox.export.runtime.OnnxDenoiser`.
        threads: as for `gradprox.export.runtime.OnnxDenoiser`.

    Returns:
        A `LearnedProx` where the certificate says that the network is monotone; otherwise a `GradientStepDenoiser`,
        which has an explicit energy and is no prox.

    Raises:
        InputError: the file is no such model, or lacks its potential; or the provider cannot be
            used.

    Example:
        >>> D = load_prior("denoiser.onnx", potential=False)
        >>> D(torch.zeros(1, 3, 20, 30), 25 / 255).shape
        torch.Size([1, 3, 20, 30])
    """
    denoiser = OnnxDenoiser(path, provider, allow_fallback=allow_fallback, threads=threads)
    if potential and not denoiser.has_potential:
        raise InputError(
            f"{path}: has no potential, which the objective needs: export the model again, with its potential"
        )
    return prior_of(OnnxNetwork(denoiser), Path(path).stem)
