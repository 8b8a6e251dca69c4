"""An exported denoiser as the prior of any solver: ONNX Runtime computes the prox, torch everything else."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from gradprox.batch import image_sum
from gradprox.errors import InputError
from gradprox.export.runtime import OnnxDenoiser
from gradprox.networks import GradientNetwork
from gradprox.priors import LearnedProx


class OnnxNetwork(GradientNetwork):
    """A network that ONNX Runtime computes, in single precision whatever it is given; it has no derivatives.

    Images pass through the memory of the CPU. ``forward`` takes them in windows; the potential needs them whole,
    and about 1.4 GB a megapixel for every 64 filters.

    Args:
        denoiser: what computes it.

    Raises:
        InputError: the file's certificate is damaged.
    """

    monotone = True

    def __init__(self, denoiser: OnnxDenoiser) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.channels = denoiser.channels
        try:
            self._lipschitz_bound = float(json.loads(denoiser.metadata["certificate"])["lipschitz_bound"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{denoiser.path}: its certificate is damaged") from error

    @property
    def radius(self) -> int | None:
        """See `GradientNetwork.radius`."""
        return self.denoiser.halo

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
        # The file subtracts the envelope from this very number, in double precision: nothing is lost.
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
) -> LearnedProx:
    """Load an exported denoiser as a prior that ONNX Runtime computes.

    `gradprox.load_model` of the same file gives the network that it was made from, in torch.

    Args:
        path: a file written by `export_denoiser` with ``potential=True``.
        provider: as of `gradprox.export.runtime.OnnxDenoiser`.
        potential: whether it must have its potential, without which ``D(y, sigma)`` is all that can be computed:
            the objective of every solver needs it.
        allow_fallback: as of `gradprox.export.runtime.OnnxDenoiser`.
        threads: as of `gradprox.export.runtime.OnnxDenoiser`.

    Raises:
        InputError: the file is no such model, is not certified, or lacks its potential; or the provider cannot be
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
    return LearnedProx(OnnxNetwork(denoiser), Path(path).stem)
